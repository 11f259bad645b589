"""Reading sessions for a host, in a few threads of their own: waking them, recalling turns, making snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from dspex_actors.clock import Clock
from dspex_actors.errors import DspexError
from dspex_actors.sessions.activation import Activation, Recalled, Woken, recall, wake
from dspex_actors.sessions.events import Event, Look, Recall
from dspex_actors.sessions.inbox import Inbox
from dspex_actors.sessions.looking import look
from dspex_actors.sessions.session import Session
from dspex_actors.sessions.snapshots import Snapshots
from dspex_actors.store.port import Store

if TYPE_CHECKING:
    from dspex_actors.programs.catalogue import Programs

READERS = 2
READ_TOGETHER = 4

Found = list[tuple[Activation, Woken | DspexError]]


class Waker:
    """Used on the host's loop; what was read comes back there, through the host's inbox."""

    def __init__(
        self, store: Store, programs: Programs, inbox: Inbox[Callable[[], None]], woken: Callable[[Found], None],
        snapshots: Snapshots,
    ) -> None:  # fmt: skip
        self._store, self._programs = store, programs
        self._inbox = inbox
        self._woken = woken
        self._snapshots = snapshots
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._to_read, self._is_reading = list[Activation](), False

    def wake(self, activation: Activation) -> None:
        """Read a session, together with others that wake in this moment."""
        self._to_read.append(activation)
        if not self._is_reading:
            self._is_reading = True
            self._loop.call_soon(self._read)

    def recall(self, activation: Activation, wanted: Recall, done: Callable[[Recalled], None]) -> None:
        """Read a recorded answer."""
        self._threads.submit(self._recall, activation, wanted, done)

    def look(self, session: Session, wanted: Look, clock: Clock, done: Callable[[Event], None]) -> None:
        """Find out what a change needs; gives what happened."""
        self._threads.submit(self._look, session, wanted, clock, done)

    def consider(self, session: Session) -> None:
        """Something was committed: when it is time, have a snapshot made, which spares the next one who reads."""
        self._snapshots.consider(session)

    def close(self) -> None:
        """Read no more; what is being read is not waited for. Blocks until snapshots that are due are written."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._snapshots.close()

    def _read(self) -> None:
        """Read a few of those that woke, the next few when these have begun: after a takeover many wake at once."""
        group, self._to_read = self._to_read[:READ_TOGETHER], self._to_read[READ_TOGETHER:]
        self._threads.submit(self._read_group, group)

    def _read_group(self, group: list[Activation]) -> None:
        found = [(one, wake(self._store, self._programs, one)) for one in group]
        self._inbox.put(partial(self._done, found))

    def _done(self, found: Found) -> None:
        self._is_reading = bool(self._to_read)
        if self._is_reading:
            self._loop.call_soon(self._read)
        self._woken(found)

    def _recall(self, activation: Activation, wanted: Recall, done: Callable[[Recalled], None]) -> None:
        found = recall(self._store, activation, wanted)
        self._inbox.put(partial(done, found))

    def _look(self, session: Session, wanted: Look, clock: Clock, done: Callable[[Event], None]) -> None:
        found = look(self._store, self._programs, clock, session, wanted)
        self._inbox.put(partial(done, found))
