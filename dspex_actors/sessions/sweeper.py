"""Applies retention: removes the past of sessions, in the background and a little at a time.

A sweep has two halves. First every session's row says up to where its past is removed. Then, when whoever began to
read before has ended, what the removed entries say is wiped out: but for the turns that a program is still shown, and
the last values of variables, because the state of a session is what it was. Whenever it is killed, the next sweep goes
on; several at once do the same thing twice. So it needs no lease: it changes nothing that an owner's state is made of.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dspex_actors.clock import Clock, SystemClock
from dspex_actors.config import Settings
from dspex_actors.errors import DspexError, NotFound, StoreUnavailable
from dspex_actors.ids import rfc3339
from dspex_actors.resources.journal import Entry, FailedTurn, can_lose, left_of
from dspex_actors.resources.retention import Retention, before_us
from dspex_actors.sessions.reading import recollect
from dspex_actors.sessions.snapshot import encode
from dspex_actors.sessions.state import values_of
from dspex_actors.store.port import Held, Kept, Store

if TYPE_CHECKING:
    from dspex_actors.programs.catalogue import Programs

log = logging.getLogger(__name__)

SESSIONS = 500
TOGETHER = 5_000
ENTRIES = 50
"""Entries that one transaction wipes out: it holds the write lock of SQLite for 1 to 2 ms."""
REST = 9
"""How many times as long as a transaction took nothing is written after it."""
UNKNOWN_WINDOW = 20
START_S = 5.0
RETRY_S = 60.0
UNDERSTOOD = 3
"""The state version from which on hosts know what a removed past is (`sessions/snapshot.py` has the versions)."""
GRACE_S = 5.0
"""Longer than it takes to read a session: what is wiped out was removed before everybody who reads began."""


def window_of(store: Store, programs: Programs) -> Callable[[str], int]:
    """Says of a program (by uid) how many earlier turns it is shown."""

    def window(uid: str) -> int:
        program = store.load_program(uid)
        try:
            return programs.load(program).history_window
        except DspexError:  # it cannot be built any more: what it said of itself may still hold
            return int(program.spec.params.get("history_window", UNKNOWN_WINDOW))

    return window


class Sweeper:
    """One thread. Of those that share a store one sweeps in each interval.

    Args:
        store: Where sessions are.
        window: How many earlier turns a program (by uid) is shown.
        clock: What is old is told by it.
        default: What holds for tenants that have said nothing.
        every_s: Seconds from one sweep to the next.
        grace_s: Seconds from a removal to its wiping out.
    """

    def __init__(
        self, store: Store, window: Callable[[str], int], clock: Clock, default: Retention | None = None,
        every_s: float = 3600.0, grace_s: float = GRACE_S,
    ) -> None:  # fmt: skip
        self.default = default or Retention()
        self._store = store
        self._steps = store.removal()
        self._window = window
        self._clock = clock
        self._every_s = every_s
        self._grace_s = grace_s
        self._closing = threading.Event()
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="retention", daemon=True)

    def start(self) -> None:
        """Sweep from now on."""
        self._thread.start()

    def ask(self) -> None:
        """Sweep soon: somebody has changed what holds."""
        self._asked.set()

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop after the transaction that is under way."""
        self._closing.set()
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _serve(self) -> None:
        # Of ordinary priority: a thread that yields would hold the write lock while it waits for a processor.
        asked = self._asked.wait(min(START_S, self._every_s))
        while not self._closing.is_set():
            if asked:  # else whoever asks at this moment would not be heard
                self._asked.clear()
            ended = self._apply(asked)
            asked = self._asked.wait(self._every_s if ended else min(RETRY_S, self._every_s)) or not ended

    def _apply(self, asked: bool) -> bool:
        """Sweep if that is this one's to do; whether nothing is left to do."""
        try:
            if not (self._store.claim_sweep(self._every_s) or asked):
                return True
            self.sweep()
            if not self._closing.is_set():
                return True
        except DspexError as error:
            log.warning("retention was not applied: %s", error.detail)
        except Exception:
            log.exception("retention was not applied")
        with contextlib.suppress(DspexError):
            self._store.give_back_sweep()
        return False

    def sweep(self) -> None:
        """Apply the retention of every tenant to all its sessions.

        Raises:
            StoreUnavailable: The store does not answer, or hosts of an older program may read it.
        """
        if self._store.state_version() < UNDERSTOOD:
            raise StoreUnavailable(
                "Hosts of an older program may be there, which do not know what a removed past is. Retention begins by "
                "itself when the last of them has gone."
            )
        now_us = self._now_us()
        for tenant, retention in self._steps.tenants(self.default).items():
            held = Held(tenant, retention, self.default)
            for kept in self._sessions(tenant):
                self._one(kept, lambda kept, held=held: self._remove(kept, held, now_us))  # type: ignore[misc]
        after = ""
        while not self._closing.is_set() and (removed := self._steps.unswept(after, TOGETHER)):
            self._closing.wait(self._grace_s)
            for kept in removed:
                self._one(kept, self._wipe)
            after = removed[-1].uid

    def _now_us(self) -> int | None:
        """What is old is told by it; None where the clock is not to be believed."""
        now_us = self._clock.now_us()
        if self._steps.trusts(now_us):
            return now_us
        log.warning(
            "nothing is removed for its age: the clock says %s, more than a day off the last sweep. Set it right; if "
            "it is right, wait: it is believed in a day",
            rfc3339(now_us),
        )
        return None

    def _sessions(self, tenant: str) -> Iterator[Kept]:
        after = ""
        while found := self._steps.sessions(tenant, after, SESSIONS):
            yield from found
            after = found[-1].uid

    def _one(self, kept: Kept, step: Callable[[Kept], None]) -> None:
        if self._closing.is_set():
            return
        try:
            step(kept)
        except NotFound:
            pass  # deleted meanwhile
        except StoreUnavailable as error:
            self._store.ping()  # raises, if it is not only this session that cannot be read
            log.warning("retention was not applied to session %s: %s", kept.uid, error.detail)
        except Exception:
            log.exception("retention was not applied to session %s", kept.uid)

    def _write(self, step: Callable[[], None]) -> None:
        began = time.perf_counter()
        step()
        self._closing.wait(REST * (time.perf_counter() - began))

    def _remove(self, kept: Kept, held: Held, now_us: int | None) -> None:
        retention = held.retention
        days = None if now_us is None else retention.journal_days
        if retention.journal_turns is not None or days is not None:
            oldest = None if now_us is None or days is None else before_us(now_us, days)
            seq, turns = self._steps.bound(kept, retention.journal_turns, oldest)
            if seq > kept.removed_seq:
                self._write(lambda: self._steps.remove(kept.uid, seq, turns, held))
        if retention.failed_days is not None and now_us is not None:
            self._remove_failures(kept, before_us(now_us, retention.failed_days), held)

    def _remove_failures(self, kept: Kept, before: int, held: Held) -> None:
        last: FailedTurn | None = None
        if kept.failed_at_us is None or kept.failed_at_us >= before:
            return
        while not self._closing.is_set() and (found := self._steps.old_failures(kept.uid, before, last, ENTRIES)):
            self._write(lambda found=found: self._steps.remove_failures(found, held))  # type: ignore[misc]
            last = found[-1]

    def _wipe(self, kept: Kept) -> None:
        course = replace(self._store.course(kept.uid), removed=kept.removed_turns)
        window = self._window(self._store.load_session(kept.uid).program_uid)
        shown, values_seen, below = course.context(window), False, kept.removed_seq + 1
        while not self._closing.is_set() and (found := self._leftovers(kept, below)):
            left: list[tuple[Entry, bytes]] = []
            for entry in found:
                # Newest first: the values that hold where the kept entries begin are the first ones that are met.
                has_values = values_of(entry) is not None
                stays = left_of(entry, entry.turn in shown, has_values and not values_seen)
                values_seen = values_seen or has_values
                is_new = entry.seq > kept.swept_seq and can_lose(replace(entry, delta=stays))
                if is_new or stays != entry.delta:
                    left.append((entry, stays))
            if left:
                self._write(lambda left=left: self._steps.wipe(kept.uid, left))  # type: ignore[misc]
            below = found[-1].seq
        if not self._closing.is_set():
            self._keep(kept)
            self._write(lambda: self._steps.swept(kept.uid, kept.removed_seq))

    def _leftovers(self, kept: Kept, below: int) -> Sequence[Entry]:
        return self._steps.leftovers(kept.uid, below, kept.swept_seq, ENTRIES)

    def _keep(self, kept: Kept) -> None:
        """A snapshot of now if there is none since, so that nobody reads through what is left of removed entries."""
        record = self._store.load_session(kept.uid)
        window = self._window(record.program_uid)
        found, tail, _ = recollect(self._store, record, window)
        if found.seq - tail.entries >= kept.removed_seq:
            return
        made = encode(found, kept.uid, window, self._store.state_version(), self._clock.now_us())
        if made is not None:
            self._write(lambda: self._store.put_snapshots([made]))


def sweeps(settings: Settings, store: Store, programs: Programs) -> Sweeper:
    """A sweeper at work, as the operator has set it."""
    default = Retention(
        journal_days=settings.retention_days,
        journal_turns=settings.retention_turns,
        failed_days=settings.retention_failed_days,
    )
    sweeper = Sweeper(store, window_of(store, programs), SystemClock(), default, settings.retention_every_s)
    sweeper.start()
    return sweeper
