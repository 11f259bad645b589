"""The host: runs many sessions, each a pure core whose effects it carries out.

Everything here happens on one event loop (the I/O loop). Programs run in the runner's threads, commits in the writer's,
reads of the store in a few threads of their own; all come back through one inbox. What a crash leaves behind is the
journal alone: the host keeps nothing that it could not read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

import psutil

from dspex_actors.clock import Clock, SystemClock
from dspex_actors.errors import Cancelled, DeadlineExceeded, Draining, DspexError, Internal, Moved, OutcomeUnknown
from dspex_actors.resources.journal import Entry, Verdict
from dspex_actors.resources.turn import Cancellation
from dspex_actors.sessions.activation import Activation, Ask, Coming, checked_inputs, status_of
from dspex_actors.sessions.answers import moved, unknown, unreachable
from dspex_actors.sessions.assurance import Assurance
from dspex_actors.sessions.attempts import Attempts
from dspex_actors.sessions.cancelling import cancel
from dspex_actors.sessions.events import (
    Abort,
    Adopt,
    Arrive,
    Commit,
    Committed,
    Effect,
    Event,
    Examine,
    Expire,
    Leave,
    Look,
    Looked,
    Ran,
    Recall,
    Record,
    Release,
    Reply,
    Settle,
    Stalled,
    Start,
    Stop,
    Waiter,
)
from dspex_actors.sessions.guards import Guards
from dspex_actors.sessions.handover import Handover
from dspex_actors.sessions.inbox import Inbox
from dspex_actors.sessions.intake import Intake
from dspex_actors.sessions.journal import JournalWriter
from dspex_actors.sessions.limits import HostLimits
from dspex_actors.sessions.load import Load
from dspex_actors.sessions.memory_room import MemoryRoom
from dspex_actors.sessions.session import Session, Turn
from dspex_actors.sessions.snapshots import Snapshots
from dspex_actors.sessions.suspects import Suspects
from dspex_actors.sessions.tenure import Tenure
from dspex_actors.sessions.waker import Found, Waker
from dspex_actors.sessions.watching import Sight, Watch, join, send_away
from dspex_actors.sessions.wear import Wear
from dspex_actors.store.port import Lease, Store
from supervisors import Exit

if TYPE_CHECKING:
    from dspex_actors.programs.catalogue import Programs
    from dspex_actors.programs.loaded import LoadedProgram

log = logging.getLogger(__name__)

AGAIN = "Nothing of this turn is in its state; send it again."


class Host:
    """Runs the sessions of the units that it holds leases of.

    A turn that it acknowledges is committed under the epoch that the turn started with. Must be made on the loop that
    it is to use; all methods are called there.

    Attributes:
        assurance: Keeps the host sure of its leases.
        handover: Gives units and sessions to other hosts.
        suspects: Knows of turns that may have killed other hosts.
    """

    def __init__(
        self, name: str, store: Store, programs: Programs, clock: Clock | None = None, limits: HostLimits | None = None
    ) -> None:
        self.name = name
        limits = limits or HostLimits()
        self._clock = clock or SystemClock()
        self._loop = asyncio.get_running_loop()
        self._inbox: Inbox[Callable[[], None]] = Inbox(self._loop, lambda call: call())
        self._journal = JournalWriter(store, self._clock, self._on_verdict, self._on_stall)
        self._waker = Waker(
            store, programs, self._inbox, self._activated, Snapshots(store, self._clock, limits.snapshots)
        )
        self._guards = Guards(self._clock)
        self._tenure = Tenure(self._loop, self._deliver, lambda waiter: self._refuse(waiter, moved()), self._release)
        self.assurance = Assurance(partial(store.held_by, name), self._tenure, self._clock)
        self._room = MemoryRoom(self._loop, limits.room, lambda idle: self._handle(idle, Release()))
        self._active = self._room.active
        self.wear = Wear(limits.wear, self._clock.monotonic_s)
        self._attempts = Attempts(
            self._inbox, self._clock, self._active.values, self._handle, self.wear, limits.programs,
            self.assurance.when_sure,
        )  # fmt: skip
        self.handover = Handover(name, store, self._tenure, self._active, self._handle)
        self.suspects = Suspects(
            store, self._clock, self._inbox, self._active, self._handle, self._reply, self.handover.send_home
        )
        self._owner: dict[Waiter, Activation | None] = {}
        self._intake = Intake[Coming](
            self._loop, lambda new: self._tenure.admit(*new) if new[1] in self._owner else None
        )
        self._left: set[Waiter] = set()
        self._draining = False
        self._idle = asyncio.Event()

    # Leases ----------------------------------------------------------------------------------------------------
    def own(self, leases: Iterable[Lease]) -> None:
        """These leases are ours, at these epochs. What ran under a lower epoch is given back first."""
        self._tenure.own(leases)

    def disown(self, units: Iterable[str]) -> None:
        """These units are another host's now."""
        self._tenure.disown(units)

    def _release(self, units: Collection[str]) -> None:
        self._guards.release(units)
        for activation in [held for held in self._active.values() if held.unit in units]:
            self._handle(activation, Release())

    # Turns -----------------------------------------------------------------------------------------------------
    def ask(self, ask: Ask, waiter: Waiter) -> None:
        """Run a turn; the waiter hears what comes of it."""
        if self._draining:
            waiter.fail(Draining("The service is stopping. Try again in a moment.", retry_after_s=2))
        else:
            self._owner[waiter] = None
            new = (ask, waiter, self._loop.time() + ask.turn.timeout_s)
            self.assurance.when_sure(partial(self._intake.put, ask.uid, new), partial(self._give_up, waiter))

    def leave(self, waiter: Waiter) -> None:
        """The waiter's client has gone."""
        if (activation := self._owner.get(waiter)) is not None:
            self._handle(activation, Leave(waiter, self._clock.now_us()))
        elif waiter in self._owner:
            self._left.add(waiter)

    def cancel(self, uid: str, unit: str, turn_id: str | None, key: str) -> Cancellation | None:
        """See `cancelling.cancel`; None also when the unit is not surely this host's, or turns are on their way in."""
        if not self.assurance.is_sure or unit not in self._tenure or uid in self._intake:
            return None
        return cancel(self._active.get(uid), turn_id, key, self._clock.now_us(), self._handle)

    def watch(self, wanted: Watch, waiter: Waiter) -> Turn | Sight:
        """See `watching.join`."""
        is_ours = self.assurance.is_sure and self._tenure.holds(wanted.unit, wanted.epoch)
        if not is_ours or wanted.uid in self._intake:
            return Sight.ASK_AGAIN
        return join(self._active.get(wanted.uid), wanted, waiter)

    def _deliver(self, ask: Ask, waiter: Waiter, until: float) -> None:
        activation = self._active.get(ask.uid)
        if activation is None:
            if (refusal := self._guards.refusal(ask.uid)) is not None:
                self._refuse(waiter, refusal)
                return
            activation = self._active[ask.uid] = Activation(ask.uid, ask.unit, ask.epoch)
            self._waker.wake(activation)
        if activation.session is None:
            activation.backlog.append((ask, waiter, until))
        else:
            self._arrive(activation, ask, waiter, until)

    def _activated(self, found: Found) -> None:
        for activation, woken in found:
            if isinstance(woken, DspexError):
                self._fail_backlog(activation, woken)
            elif not self._tenure.holds(activation.unit, activation.epoch) or woken[0].record.unit != activation.unit:
                self._fail_backlog(activation, moved())  # or the session has a lease of its own somewhere
            else:
                activation.session, activation.program = woken
                backlog, activation.backlog = activation.backlog, []
                for ask, waiter, until in backlog:
                    self._arrive(activation, ask, waiter, until)
                activation.tell()

    def _fail_backlog(self, activation: Activation, error: DspexError) -> None:
        self._forget(activation)
        for _, waiter, _ in activation.backlog:
            self._refuse(waiter, error)
        activation.backlog.clear()

    def _refuse(self, waiter: Waiter, error: DspexError) -> None:
        """An answer for somebody whose turn has not reached its session."""
        self._forget_waiter(waiter)
        waiter.fail(error)

    def _give_up(self, waiter: Waiter) -> None:
        if waiter in self._owner:
            self._refuse(waiter, unreachable())

    def _forget_waiter(self, waiter: Waiter) -> None:
        self._owner.pop(waiter, None)
        self._left.discard(waiter)
        if not self._owner:
            self._idle.set()

    def _arrive(self, activation: Activation, ask: Ask, waiter: Waiter, until: float) -> None:
        session, turn, gone = activation.session, ask.turn, waiter in self._left
        if session is None or self._active.get(activation.uid) is not activation:
            self._tenure.admit(ask, waiter, until)  # it broke while its backlog arrived: wake it again
            return
        left, running = until - self._loop.time(), session.current
        try:
            if left <= 0:
                raise DeadlineExceeded("Time ran out before the turn could start. Send it with a longer timeout.")
            if gone and turn.cancel_on_disconnect:
                raise Cancelled("The turn was cancelled: its client went away.")
            inputs = checked_inputs(activation, ask)
        except DspexError as error:
            self._refuse(waiter, error)
            return
        self._room.used(activation)
        activation.timers[waiter] = self._loop.call_later(left, self._expire, activation, waiter)
        self._owner[waiter] = activation
        arrive = Arrive(
            waiter, turn.turn_id, turn.body_hash, inputs, self._clock.now_us(), ask.attempt, turn.expected_turn,
            turn.cancel_on_disconnect, turn.kind, ask.resent, ask.losses,
        )  # fmt: skip
        self._handle(activation, arrive)
        if gone:
            self.leave(waiter)
        elif waiter.streams and activation.log is not None and running is not None and waiter in running.waiters:
            activation.log.replay_to(waiter, ask.seen)  # it joined

    def _expire(self, activation: Activation, waiter: Waiter) -> None:
        self._handle(activation, Expire(waiter, self._clock.now_us()))

    # The core and its effects ----------------------------------------------------------------------------------
    def _handle(self, activation: Activation, event: Event) -> None:
        session = activation.session
        # What still runs for an activation that is over must not be committed: its callers have had their answers.
        if session is None or self._active.get(activation.uid) is not activation:
            return
        if activation.held is not None and isinstance(event, Ran | Looked):
            activation.held.append(event)  # it is committed under the lease that the handover ends with
            return
        turn = session.current
        try:
            for effect in session.handle(event):
                self._perform(activation, session, effect)
        except Exception as error:
            log.exception("session %s broke and starts again from its journal", activation.uid)
            self._guards.crashed(activation.uid, activation.unit, Exit("crash", type(error).__name__))
            self._abandon(activation, turn, Internal(f"The session broke. {AGAIN}"))
        activation.tell()

    def _perform(self, activation: Activation, session: Session, effect: Effect) -> None:
        match effect:
            case Reply(waiter, answer):
                self._reply(activation, waiter, answer, False)
            case Start():
                self._attempts.start(activation, effect)
            case Commit(entry):
                activation.log = None
                self._journal.commit(entry)
            case Record(failed):
                if session.current is None:
                    activation.log = None
                self._journal.record(failed, partial(self._inbox.put, partial(self._recorded, activation, effect)))
            case Recall():
                self._waker.recall(activation, effect, partial(self._recalled, activation, effect))
            case Examine():
                self.suspects.examine(activation, effect)
            case Settle():
                self.suspects.settle(activation, effect)
            case Look():
                self._waker.look(session, effect, self._clock, partial(self._handle, activation))
            case Adopt(program):
                activation.program = cast("LoadedProgram", program)
            case Abort(token):
                self._attempts.abort(activation, token)
            case Stop():
                self._forget(activation)

    def _reply(self, activation: Activation, waiter: Waiter, answer: bytes | DspexError, replayed: bool) -> None:
        if (timer := activation.timers.pop(waiter, None)) is not None:
            timer.cancel()
        self._forget_waiter(waiter)
        if isinstance(answer, bytes):
            waiter.reply(answer, replayed)
        else:
            waiter.fail(answer)

    def _recorded(self, activation: Activation, record: Record) -> None:
        for waiter in record.waiters:
            if waiter in activation.timers and record.answer is not None:
                self._reply(activation, waiter, record.answer, False)

    def _recalled(self, activation: Activation, wanted: Recall, found: Arrive | bytes | DspexError) -> None:
        if wanted.waiter not in activation.timers:
            return  # the session broke meanwhile, and told everybody
        if isinstance(found, Arrive):
            self._handle(activation, found)
        else:
            self._reply(activation, wanted.waiter, found, True)
            if isinstance(found, Moved):
                self._handle(activation, Release())

    # The writer's voice, from its thread -----------------------------------------------------------------------
    def _on_verdict(self, entry: Entry, verdict: Verdict) -> None:
        self._inbox.put(lambda: self._to_owner(entry, Committed(verdict, self._clock.now_us())))

    def _on_stall(self, entry: Entry) -> None:
        self._inbox.put(lambda: self._to_owner(entry, Stalled(self._clock.now_us())))

    def _to_owner(self, entry: Entry, event: Event) -> None:
        activation = self._active.get(entry.uid)
        session = activation.session if activation is not None else None
        turn = session.current if session is not None else None
        # An activation of another epoch, or one that does not wait for this entry, has nothing to learn from it.
        if activation is not None and session is not None and turn is not None and turn.entry is entry:
            self._handle(activation, event)
            self._waker.consider(session)

    # When things break, and the end ----------------------------------------------------------------------------
    def restart(self, uid: str, unit: str) -> bool:
        """Somebody restarts the session, out of quarantine too; whether its unit is this host's."""
        if unit not in self._tenure:
            return False
        self._guards.restarted(uid, unit)
        if (activation := self._active.get(uid)) is not None:
            turn = activation.session.current if activation.session is not None else None
            self._fail_backlog(activation, Cancelled(f"The session was restarted. {AGAIN}"))
            self._abandon(activation, turn, Cancelled(f"The session was restarted. {AGAIN}"))
        return True

    def _abandon(self, activation: Activation, turn: Turn | None, error: DspexError) -> None:
        """Forget the session's core; the next message wakes it from its committed state.

        `turn` is what was current before: once it has an entry, the writer may make it a part of that state.
        """
        self._attempts.abandon(activation)
        self.suspects.abandon(activation, turn)
        self._forget(activation)
        send_away([activation], error, turn)
        for waiter in list(activation.timers):
            recorded = turn is not None and turn.entry is not None and waiter in turn.waiters
            self._reply(activation, waiter, unknown(turn.turn_id) if turn and recorded else error, False)

    def _forget(self, activation: Activation) -> None:
        if self._active.get(activation.uid) is activation:
            del self._active[activation.uid]
        for waiter, timer in activation.timers.items():
            timer.cancel()
            self._owner.pop(waiter, None)
        activation.tell()

    def peek(self, uids: Sequence[str]) -> list[tuple[str, int]]:
        """The status (`idle`, `busy`, `passive`, `quarantined`) and restarts of each session."""
        statuses = (self._guards.status(uid, status_of(self._active.get(uid))) for uid in uids)
        return [(status, self._guards.restarts(uid)) for uid, status in zip(uids, statuses, strict=True)]

    def load(self) -> Load:
        """What this host has to do now."""
        in_flight = sum(held.session.in_flight for held in self._active.values() if held.session is not None)
        return Load(self._tenure.shards, len(self._active), in_flight, psutil.Process().memory_info().rss)

    async def drain(self, timeout_s: float) -> bool:
        """Refuse new turns and wait for those that are here; whether all have ended."""
        self._draining = True
        self._idle.clear()
        if self._owner:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), timeout_s)
        return not self._owner

    async def close(self) -> None:
        """Stop at once: what runs is abandoned, what is queued for commit is written."""
        self._draining = True
        self.handover.close()
        self._room.close()
        self.assurance.close()
        await asyncio.to_thread(self._attempts.close)
        await asyncio.to_thread(self._journal.close)
        await asyncio.to_thread(self.suspects.close)
        await asyncio.to_thread(self._waker.close)
        stopped = OutcomeUnknown("The service stopped before the turn's answer came. Ask by its key.")
        send_away(self._active.values(), stopped)
        self._active.clear()
        for waiter in list(self._owner):
            self._refuse(waiter, stopped)
