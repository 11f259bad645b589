"""Snapshots of a host's sessions: made off the turns' path, from the journal alone.

What is in one has been read back from the store, so it holds committed entries and nothing else, whoever runs the
session now. Losing one costs nothing but time: its journal says the same.
"""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass

from dspex_actors.clock import Clock
from dspex_actors.errors import NotFound, StoreUnavailable
from dspex_actors.resources.snapshot import Snapshot
from dspex_actors.sessions.priority import lower_priority
from dspex_actors.sessions.reading import recollect
from dspex_actors.sessions.session import Session
from dspex_actors.sessions.snapshot import encode
from dspex_actors.sessions.state import Tail
from dspex_actors.store.port import Store

log = logging.getLogger(__name__)

NICE = 10
TOGETHER = 32
PAUSE_S = 0.1
"""Those that are due meanwhile are written in one transaction: each costs the commits a wait for the disk."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When a session's next snapshot is due: after so many entries, or bytes of them, since the last one.

    But not before they are as many bytes as that snapshot: then writing snapshots at most doubles what is written.
    """

    entries: int = 100
    bytes: int = 262_144

    def due(self, tail: Tail) -> bool:
        """Whether this is enough."""
        return (tail.entries >= self.entries or tail.bytes >= self.bytes) and tail.bytes >= tail.behind_bytes


@dataclass(frozen=True, slots=True)
class _Due:
    uid: str
    window: int
    tail: Tail


class Snapshots:
    """One thread a host. `consider` is called on the host's loop and never waits."""

    def __init__(self, store: Store, clock: Clock, policy: Policy | None = None) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy or Policy()
        self._queue: queue.SimpleQueue[_Due | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="snapshots", daemon=True)
        self._thread.start()

    def consider(self, session: Session) -> None:
        """Have one made if the session has gone on for long enough."""
        state = session.state
        if self._policy.due(state.tail):
            # The new tail counts from here. What the snapshot has beyond it is read again by nobody but the next one.
            state.tail = Tail(behind_bytes=state.tail.behind_bytes)
            self._queue.put(_Due(session.record.uid, state.history.maxlen or 0, state.tail))

    def close(self, timeout_s: float = 10.0) -> None:
        """Make those that are due, then end."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _serve(self) -> None:
        lower_priority(NICE)
        while (first := self._queue.get()) is not None:
            self._closing.wait(PAUSE_S)
            due = {first.uid: first}
            while len(due) < TOGETHER and not self._queue.empty():
                if (one := self._queue.get()) is None:
                    self._queue.put(None)
                    break
                due[one.uid] = one
            self._keep(list(due.values()))

    def _keep(self, due: list[_Due]) -> None:
        try:
            version = self._store.state_version()
            made = [snapshot for one in due if (snapshot := self._make(one, version)) is not None]
            self._store.put_snapshots(made)
        except StoreUnavailable as error:
            log.warning("%s snapshots were not written: %s", len(due), error.detail)
        except Exception:
            log.exception("%s snapshots were not written", len(due))

    def _make(self, due: _Due, version: int) -> Snapshot | None:
        try:
            found = recollect(self._store, self._store.load_session(due.uid), due.window).found
            made = encode(found, due.uid, due.window, version, self._clock.now_us())
        except NotFound:
            return None  # deleted meanwhile
        except StoreUnavailable as error:
            log.warning("no snapshot of session %s was made: %s", due.uid, error.detail)
            return None  # the others of the batch may be sound
        except Exception:
            log.exception("no snapshot of session %s was made", due.uid)
            return None
        due.tail.behind_bytes = made.size if made is not None else 0
        return made
