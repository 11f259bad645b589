"""The writer: one thread a host, which commits what finished meanwhile in one transaction (group commit).

It alone decides when a turn is done. When the store does not answer it goes on trying, because a COMMIT whose answer
was lost may have happened: repeating the transaction finds out, and nothing else does.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from dspex_actors.clock import Clock
from dspex_actors.errors import AlreadyExists, Gone, StoreUnavailable
from dspex_actors.resources.journal import Entry, FailedTurn, Verdict
from dspex_actors.store.port import Store

log = logging.getLogger(__name__)

BATCH_LIMIT = 256
STALL_S = 5.0
RETRY_S = 0.05

OnVerdict = Callable[[Entry, Verdict], None]
OnStall = Callable[[Entry], None]


@dataclass(slots=True)
class _Pending:
    entry: Entry
    since_s: float
    told: bool = False


@dataclass(frozen=True, slots=True)
class _Failure:
    failed: FailedTurn
    then: Callable[[], None]


class JournalWriter:
    """Commits entries in the order in which they come; the callbacks are called from its thread.

    `on_verdict` is called exactly once an entry, unless the writer is closed first. `on_stall` is called once for each
    entry that has waited 5 s for the store.
    """

    def __init__(self, store: Store, clock: Clock, on_verdict: OnVerdict, on_stall: OnStall) -> None:
        self._store = store
        self._clock = clock
        self._on_verdict = on_verdict
        self._on_stall = on_stall
        self._queue: queue.SimpleQueue[Entry | _Failure | None] = queue.SimpleQueue()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="journal", daemon=True)
        self._thread.start()

    def commit(self, entry: Entry) -> None:
        """Queue an entry."""
        self._queue.put(entry)

    def record(self, failed: FailedTurn, then: Callable[[], None]) -> None:
        """Queue a failed attempt; `then` is called when it was tried. Losing one is logged, never an error."""
        self._queue.put(_Failure(failed, then))

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what is queued, then end."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _serve(self) -> None:
        pending: list[_Pending] = []
        while pending or not self._closing:
            failures = self._collect(pending)
            if pending:
                pending = self._write(pending)
            if failures:
                self._keep(failures)
            if pending and self._closing:
                return

    def _collect(self, pending: list[_Pending]) -> list[_Failure]:
        """Add what is queued to `pending`; wait for it when there is nothing else to do."""
        failures: list[_Failure] = []
        try:
            item = self._queue.get(timeout=RETRY_S if pending else None)
            while True:
                if item is None:
                    self._closing = True
                elif isinstance(item, Entry):
                    pending.append(_Pending(item, self._clock.monotonic_s()))
                else:
                    failures.append(item)
                if len(pending) + len(failures) >= BATCH_LIMIT:
                    break
                item = self._queue.get_nowait()
        except queue.Empty:
            pass
        return failures

    def _write(self, pending: list[_Pending]) -> list[_Pending]:
        """Commit all of it; gives back what must be tried again."""
        try:
            verdicts = self._store.commit([item.entry for item in pending])
        except StoreUnavailable as error:
            log.warning("the store does not answer: %s", error.detail)
            self._tell_stalled(pending)
            return pending
        except AlreadyExists:  # recorded under another number: its activation is stale, the journal has gone on
            return self._say_or_each(pending, Verdict.DROPPED)
        except Gone:
            return self._say_or_each(pending, Verdict.GONE)
        except Exception:
            return self._write_each(pending)
        for item, verdict in zip(pending, verdicts, strict=True):
            self._on_verdict(item.entry, verdict)
        return []

    def _say_or_each(self, pending: list[_Pending], verdict: Verdict) -> list[_Pending]:
        """One entry of this batch is why nothing was written: it is told so, and the others are written."""
        if len(pending) > 1:
            return [left for item in pending for left in self._write([item])]
        self._on_verdict(pending[0].entry, verdict)
        return []

    def _write_each(self, pending: list[_Pending]) -> list[_Pending]:
        if len(pending) > 1:
            return [left for item in pending for left in self._write([item])]
        log.exception("entry %s of %s was refused", pending[0].entry.seq, pending[0].entry.uid)
        self._on_verdict(pending[0].entry, Verdict.REFUSED)
        return []

    def _tell_stalled(self, pending: list[_Pending]) -> None:
        now = self._clock.monotonic_s()
        for item in pending:
            if not item.told and now - item.since_s >= STALL_S:
                item.told = True
                self._on_stall(item.entry)

    def _keep(self, failures: list[_Failure]) -> None:
        try:
            self._store.record_failures([failure.failed for failure in failures])
        except Exception:
            log.warning("%s failed attempts could not be recorded", len(failures), exc_info=True)
        for failure in failures:
            failure.then()
