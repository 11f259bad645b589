"""A host's dealings with turns that may have killed others: looking them up, keeping the record, probation.

What is written goes through one thread, in order: no attempt begins before it is on record, and nobody hears how it
ended before the record says so.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from dspex_actors.clock import Clock
from dspex_actors.errors import DspexError, StoreUnavailable
from dspex_actors.resources.journal import FailedTurn
from dspex_actors.resources.losses import Losses, losses_of
from dspex_actors.sessions.activation import Activation
from dspex_actors.sessions.events import Event, Examine, Examined, Settle, Waiter
from dspex_actors.sessions.inbox import Inbox
from dspex_actors.sessions.session import FAILED_KEPT, Turn
from dspex_actors.sessions.suspicion import Finding, broken, judge
from dspex_actors.store.port import Store

log = logging.getLogger(__name__)

RETRY_S = 0.05
APART_S = 0.01
"""Suspects begin in groups of 1, 2, 4 and so on, each when the one before has ended, or done no harm for so long: if
that takes this host along too, few others are on record as having run beside it."""
IDLE_S = 5.0
"""How long a host on probation waits for the turn that it is there for."""

Tell = Callable[[], None]


_Key = tuple[str, str]
"""A turn: its session's uid, and its id."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A turn to look up. `is_new`: the store has nothing of it."""

    activation: Activation
    effect: Examine
    is_new: bool
    alone: bool

    @property
    def key(self) -> _Key:
        return self.activation.uid, self.effect.attempt.turn_id


@dataclass(frozen=True, slots=True)
class _Put:
    """A record to correct."""

    activation: Activation
    effect: Settle

    @property
    def key(self) -> _Key:
        return self.activation.uid, self.effect.turn_id


class Suspects:
    """Used on the host's loop. What a crash leaves behind is the record, which is what it is for.

    Args:
        store: Where the record is.
        clock: The time.
        inbox: Where what the thread has done comes in.
        active: The sessions in the host's memory.
        handle: Lets something happen to one of them.
        reply: Answers somebody who waits in one of them.
        send_home: Lets a session go to its shard's owner as soon as its turn has ended.

    Attributes:
        seek: Has a session put on probation at another host (its uid and shard); called when a turn waits for that.
            Where it is None there is no other host, and this one runs suspects as if it were alone with each.
        dedicated: The session that this host is there for: it is alone with it at all times.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        inbox: Inbox[Tell],
        active: Mapping[str, Activation],
        handle: Callable[[Activation, Event], None],
        reply: Callable[[Activation, Waiter, bytes | DspexError, bool], None],
        send_home: Callable[[str], bool],
    ) -> None:
        self._store, self._clock, self._inbox = store, clock, inbox
        self._active, self._handle, self._reply, self._send_home = active, handle, reply, send_home
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="suspects")
        self._jobs = list[_Look | _Put]()
        self._is_writing = False
        self._young, self._width = set[_Key](), 1
        self._closing = threading.Event()
        self._probation: str | None = None
        self._idle: asyncio.TimerHandle | None = None
        self.seek: Callable[[str, int], None] | None = None
        self.dedicated: str | None = None

    # Probation -------------------------------------------------------------------------------------------------
    def put_on_probation(self, uid: str | None) -> None:
        """From now on this host is there for one turn of that session alone; for anything again when None."""
        self._probation = uid
        self._watch_idle(uid)

    def is_held(self, uid: str) -> bool:
        """Whether a turn of the session waits for a host of its own."""
        turn = _current(self._active.get(uid))
        return turn is not None and turn.held

    def _watch_idle(self, uid: str | None) -> None:
        """Perhaps nobody sends that turn any more: then the session does not stay."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = None if uid is None else self._loop.call_later(IDLE_S, self._leave_idle, uid)

    def _leave_idle(self, uid: str) -> None:
        if not self._send_home(uid):
            self._watch_idle(uid)  # it has not come yet

    # The record ------------------------------------------------------------------------------------------------
    def examine(self, activation: Activation, effect: Examine) -> None:
        """Look a turn up, and record its attempt."""
        assert activation.session is not None
        known = activation.session.attempts
        is_new = effect.attempt.turn_id not in known and len(known) < FAILED_KEPT
        if self._probation == activation.uid and self._idle is not None:
            self._watch_idle(None)
            self._send_home(activation.uid)  # when this turn has ended
        alone = self.seek is None or activation.uid in (self._probation, self.dedicated)
        self._put(_Look(activation, effect, is_new, alone))

    def settle(self, activation: Activation, effect: Settle) -> None:
        """Correct the record of an attempt, then answer."""
        self._put(_Put(activation, effect))

    def abandon(self, activation: Activation, turn: Turn | None) -> None:
        """The activation is over, and this turn with it; its host is not lost."""
        if turn is not None and turn.recorded:
            turn.recorded = False
            self._put(_Put(activation, Settle(activation.uid, turn.turn_id, turn.attempt, None, (), b"")))

    def close(self) -> None:
        """Take back the record of what runs at the end: it ends with its host, not by it. Blocks."""
        self._closing.set()
        self._thread.shutdown(wait=True)
        self._write([job for job in self._jobs if isinstance(job, _Put)])
        for activation in list(self._active.values()):
            turn = _current(activation)
            if turn is not None and turn.recorded:
                try:
                    self._store.forget_failure(activation.uid, turn.turn_id, turn.attempt)
                except StoreUnavailable:
                    log.warning("turn %s stays on record as lost with its host", turn.turn_id)

    def _put(self, job: _Look | _Put) -> None:
        self._jobs.append(job)
        if isinstance(job, _Put):
            self._drop_look(job)
            self._grown(job.key)
        self._go_on()

    def _drop_look(self, put: _Put) -> None:
        """Its attempt is over before it was looked up."""
        for look in [job for job in self._jobs if isinstance(job, _Look) and job.key == put.key]:
            if look.effect.attempt.attempt == put.effect.attempt:
                self._jobs.remove(look)
                self._loop.call_soon(self._examined, look, Finding.FREE)

    def _go_on(self) -> None:
        if self._jobs and not self._is_writing:
            self._is_writing = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        if self._closing.is_set():
            return  # `close` writes what is left
        jobs = self._take()
        self._is_writing = bool(jobs)
        if jobs:
            self._thread.submit(self._write, jobs)

    def _take(self) -> list[_Look | _Put]:
        """What goes to the thread now: all but suspects of later groups, and what is to follow those."""
        is_next = not self._young
        room = self._width if is_next else 0
        taken, left, waiting = list[_Look | _Put](), list[_Look | _Put](), set[_Key]()
        for job in self._jobs:
            is_suspect = isinstance(job, _Look) and job.effect.losses > 0
            if job.key in waiting or (is_suspect and room == 0):
                waiting.add(job.key)
                left.append(job)
                continue
            if is_suspect:
                self._young.add(job.key)
                room -= 1
            taken.append(job)
        if is_next:
            self._width = 2 * self._width if waiting else 1
        self._jobs = left
        return taken

    def _grown(self, key: _Key) -> None:
        self._young.discard(key)
        if not self._young:
            self._go_on()

    def _done(self, tells: Sequence[Tell]) -> None:
        self._is_writing = False
        self._go_on()
        for tell in tells:
            tell()

    def _examined(self, look: _Look, found: Finding | DspexError) -> None:
        activation = look.activation
        if look.key in self._young:
            self._loop.call_later(APART_S if found is Finding.RECORDED else 0, self._grown, look.key)
        self._handle(activation, Examined(look.effect.token, found, self._clock.now_us()))
        if found is Finding.HELD and self.seek is not None and activation.session and self.is_held(activation.uid):
            self.seek(activation.uid, activation.session.record.shard)

    def _settled(self, put: _Put) -> None:
        for waiter in put.effect.waiters:
            if waiter in put.activation.timers:  # else the session broke meanwhile, and told everybody
                self._reply(put.activation, waiter, put.effect.answer, False)

    # In the thread ---------------------------------------------------------------------------------------------
    def _write(self, jobs: Sequence[_Look | _Put]) -> None:
        """Do all of it together, or one by one where that does not go."""
        try:
            tells = self._work(jobs)
        except Exception:
            tells = [self._write_one(job) for job in jobs]
        self._inbox.put(partial(self._done, tells))

    def _write_one(self, job: _Look | _Put) -> Tell:
        try:
            return self._work([job])[0]
        except Exception:
            log.exception("the record of a turn of session %s could not be kept", job.activation.uid)
            return partial(self._examined, job, broken()) if isinstance(job, _Look) else partial(self._settled, job)

    def _work(self, jobs: Sequence[_Look | _Put]) -> list[Tell]:
        rows, tells = list[FailedTurn](), list[Tell]()
        for job in jobs:
            if isinstance(job, _Look):
                if not job.is_new:
                    self._keep(rows)  # what was recorded a moment ago may be of this very turn
                verdict = judge(job.effect.losses, self._recorded(job), job.effect.attempt, job.alone)
                rows += verdict.rows
                tells.append(partial(self._examined, job, verdict.finding))
                continue
            if job.effect.failed is not None:
                rows.append(job.effect.failed)
            else:
                self._keep(rows)
                self._surely(partial(self._store.forget_failure, *_key(job.effect)))
            tells.append(partial(self._settled, job))
        self._keep(rows)
        return tells

    def _recorded(self, look: _Look) -> Losses:
        attempt, found = look.effect.attempt, list[FailedTurn]()
        if not look.is_new:
            self._surely(lambda: found.extend(self._store.failures(attempt.uid, attempt.turn_id)))
        return losses_of(found)

    def _keep(self, rows: list[FailedTurn]) -> None:
        if rows:
            self._surely(lambda: self._store.record_failures(rows))
            rows.clear()

    def _surely(self, call: Callable[[], object]) -> None:
        """However often the store has to be asked: what it was told may be there although its answer was lost."""
        while True:
            try:
                call()
            except StoreUnavailable:
                if self._closing.wait(RETRY_S):
                    raise
            else:
                return


def _key(settle: Settle) -> tuple[str, str, int]:
    return settle.uid, settle.turn_id, settle.attempt


def _current(activation: Activation | None) -> Turn | None:
    return None if activation is None or activation.session is None else activation.session.current
