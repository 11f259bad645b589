"""The heart: one session as a pure state machine, `(session, event) -> effects`.

No I/O, no clock, no randomness, no threads: the host (`host.py`) feeds it what happened and carries out what it says.
Read `Session.handle` first: one clause an event. The rules, in the words of the protocol:

- One turn runs at a time, in the order of arrival; the mailbox is bounded and refuses at once when full.
- A turn that finds the session busy waits, is refused, or interrupts, as the session's `on_busy` says (`busy.py`).
- A retry joins the waiting or running turn with its id; a recorded one is answered from the journal.
- Outcomes are three: done (committed, then answered), not done (a definite error, nothing in the state), unknown.
- An expired turn never starts; one that is queued for commit no longer expires.
- A late result of an abandoned attempt is discarded by its token.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import orjson

from dspex_actors.errors import (
    Cancelled,
    DeadlineExceeded,
    DspexError,
    SessionBusy,
    StoreUnavailable,
)
from dspex_actors.resources.journal import Entry, Verdict, entry_answer
from dspex_actors.resources.session import SessionRecord
from dspex_actors.resources.variables import Declared
from dspex_actors.sessions import busy, changes, suspicion
from dspex_actors.sessions.answers import MAILBOX_LIMIT, full, mismatch, moved, refused, replies, unknown, unreachable
from dspex_actors.sessions.events import (
    Abort,
    Adopt,
    Arrive,
    Cancel,
    Commit,
    Committed,
    Effect,
    Event,
    Examined,
    Expire,
    GiveBack,
    Json,
    Leave,
    Looked,
    Raised,
    Ran,
    Recall,
    Release,
    Reply,
    Stalled,
    Stop,
    Waiter,
)
from dspex_actors.sessions.state import State, fold

T = TypeVar("T")

ABANDONED_LIMIT = 2
"""Attempts that may hang on in threads before the session says `session_busy`."""
FAILED_KEPT = 1000
"""Failed turn ids whose attempts are remembered, so that a retry's attempt has a higher number."""


@dataclass(slots=True, eq=False)
class Turn:
    """A turn that waits, runs or is being committed. `waiters` maps each to whether its client is still there;
    `watchers` look on, and change nothing.

    A change that is no turn goes the same way, but runs no program (`changes.py`). `followed`: the live version of the
    program was asked for already. `waited`: for another turn of the session.
    """

    turn_id: str
    body_hash: bytes
    inputs: Json
    attempt: int
    expected_turn: int | None
    cancel_on_disconnect: bool
    waiters: dict[Waiter, bool]
    started_at_us: int
    token: int = 0
    entry: Entry | None = None
    ran: Ran | Looked | None = None
    kind: str = "turn"
    losses: int = 0
    recorded: bool = False
    """Whether this attempt was recorded before it began, or is being so."""
    held: bool = False
    """Whether it waits for a host of its own."""
    watchers: dict[Waiter, None] = field(default_factory=dict)
    followed: bool = False
    waited: bool = False


@dataclass(slots=True)
class Session:
    """One activation of one session: from takeover to `Stop`."""

    record: SessionRecord
    epoch: int
    state: State
    attempts: dict[str, int] = field(default_factory=dict)
    """How often turns that failed were started, by turn id."""
    cancelled: dict[str, None] = field(default_factory=dict)
    """The ids of turns that were cancelled and have not come again, newest last."""
    current: Turn | None = None
    mailbox: deque[Turn] = field(default_factory=deque)
    abandoned: set[int] = field(default_factory=set)
    stalled: bool = False
    tokens: int = 0
    begun: bool = False
    declared: Declared = field(default_factory=dict)
    """Its variables: the program's, and its own."""

    def handle(self, event: Event) -> list[Effect]:
        """What must be done because of this event."""
        return list(self._clauses(event))

    def _clauses(self, event: Event) -> Iterator[Effect]:
        match event:
            case Arrive():
                yield from self._arrive(event)
            case Ran(token=token) if self._runs(token):
                yield self._commit(event)
            case Looked(token=token) if self._runs(token):
                yield from self._looked(event)
            case Raised(token=token) if self._runs(token):
                yield from self._fail_current(event.error, event.now_us)
                yield from self._next(event.now_us)
            case Examined(token=token) if self._runs(token):
                yield from suspicion.examined(self, event)
                yield from self._next(event.now_us)
            case Ran(token=token) | Looked(token=token) | Raised(token=token) | Examined(token=token):
                self.abandoned.discard(token)
                yield from self._next(event.now_us)
            case Committed(verdict=Verdict.COMMITTED):
                yield from self._done()
                yield from self._next(event.now_us)
            case Committed(verdict=Verdict.REFUSED | Verdict.GONE):
                yield from self._refused(event)
                yield from self._next(event.now_us)
            case Committed() | Release():
                yield from self._release()
            case GiveBack():
                yield from self._give_back()
            case Stalled():
                yield from self._stall()
            case Leave():
                yield from self._leave(event)
            case Expire():
                yield from self._expire(event)
            case Cancel() if (turn := self.find(event.turn_id)) is not None:
                yield from self._drop(turn, busy.cancelled(), event.now_us)

    @property
    def busy(self) -> bool:
        """Whether a turn runs or is being committed."""
        return self.current is not None

    @property
    def in_flight(self) -> int:
        """Turns that run or wait."""
        return len(self.mailbox) + (self.current is not None)

    @property
    def is_full(self) -> bool:
        """Whether as many turns wait as may."""
        return len(self.mailbox) >= MAILBOX_LIMIT

    # A turn comes in -------------------------------------------------------------------------------------------
    def _arrive(self, event: Arrive) -> Iterator[Effect]:
        turn = self.find(event.turn_id)
        if turn is not None:
            yield from self._join(turn, event)
        elif event.turn_id in self.state.turn_ids and not event.is_new:
            yield Recall(event.waiter, event.turn_id, event.body_hash, event)
        elif self.stalled:
            yield Reply(event.waiter, StoreUnavailable("The store does not answer. Try again shortly."))
        elif (refusal := busy.refusal(self, event)) is not None:
            yield Reply(event.waiter, refusal)
        elif self.is_full:
            yield Reply(event.waiter, full())
        else:
            if busy.interrupts(self, event):
                yield from self._interrupt(event.now_us)
            self.mailbox.append(self._new_turn(event))
            yield from self._next(event.now_us)

    def _interrupt(self, now_us: int) -> Iterator[Effect]:
        for turn in [turn for turn in (*self.mailbox, self.current) if turn and turn.kind in busy.POLICED]:
            yield from self._drop(turn, busy.interrupted(), now_us)

    def _new_turn(self, event: Arrive) -> Turn:
        self.cancelled.pop(event.turn_id, None)
        attempt = max(event.attempt, self.attempts.get(event.turn_id, 0) + 1)
        return Turn(
            event.turn_id, event.body_hash, event.inputs, attempt, event.expected_turn, event.cancel_on_disconnect,
            {event.waiter: True}, event.now_us, kind=event.kind, losses=event.losses,
        )  # fmt: skip

    def _join(self, turn: Turn, event: Arrive) -> Iterator[Effect]:
        if turn.body_hash != event.body_hash:
            yield Reply(event.waiter, mismatch(event.turn_id))
        else:
            turn.waiters[event.waiter] = True
            turn.losses = max(turn.losses, event.losses)
            turn.cancel_on_disconnect = turn.cancel_on_disconnect and event.cancel_on_disconnect

    def find(self, turn_id: str) -> Turn | None:
        """The turn of that id that runs or waits."""
        if self.current is not None and self.current.turn_id == turn_id:
            return self.current
        return next((turn for turn in self.mailbox if turn.turn_id == turn_id), None)

    # The next one starts ---------------------------------------------------------------------------------------
    def _next(self, now_us: int) -> Iterator[Effect]:
        while self._may_start and self.mailbox:
            if changes.follows(self, self.mailbox[0]):
                self.mailbox[0].followed = True
                yield self._start(Turn("", b"", {}, 1, None, False, {}, now_us, kind="follow"), now_us)
                return
            turn = self.mailbox.popleft()
            refused = self._refusal(turn)
            if refused is not None:
                yield from replies(turn, refused)
                continue
            yield self._start(turn, now_us)

    def _start(self, turn: Turn, now_us: int) -> Effect:
        self.tokens += 1
        turn.waited = now_us > turn.started_at_us
        turn.token, turn.started_at_us = self.tokens, now_us
        self.current = turn
        return suspicion.begin(self, turn, FAILED_KEPT) if turn.kind == "turn" else changes.begin(self, turn, now_us)

    @property
    def _may_start(self) -> bool:
        # Interrupted attempts are about to end, most of them at once: the newest turn waits for that.
        held = len(self.abandoned) >= ABANDONED_LIMIT and self.record.on_busy == "interrupt"
        return self.current is None and not self.stalled and not held

    def _refusal(self, turn: Turn) -> DspexError | None:
        if (out_of_turn := busy.out_of_turn(turn.expected_turn, self.state.turn + 1)) is not None:
            return out_of_turn
        if len(self.abandoned) >= ABANDONED_LIMIT:
            return SessionBusy(
                "Earlier turns of this session hang in code that cannot be stopped. Try again when they have ended."
            )
        return changes.refusal(self, turn)

    # It ends ---------------------------------------------------------------------------------------------------
    def _runs(self, token: int) -> bool:
        return self.current is not None and self.current.token == token and self.current.entry is None

    def _commit(self, event: Ran) -> Effect:
        turn = self.current
        assert turn is not None
        delta = {
            "inputs": turn.inputs,
            "outputs": event.outputs,
            "usage": event.usage,
            "model": event.model,
            "program": self.record.program,
            "version": self.record.version,
            "attempts": turn.attempt,
            "started_at_us": turn.started_at_us,
            "latency_ms": (event.now_us - turn.started_at_us) / 1000,
            **changes.recorded(self, event.variables),
        }
        turn.ran = event
        turn.entry = Entry(
            uid=self.record.uid, seq=self.state.seq + 1, kind="turn", turn=self.state.turn + 1, turn_id=turn.turn_id,
            body_hash=turn.body_hash, delta=orjson.dumps(delta), at_us=event.now_us, unit=self.record.unit,
            epoch=self.epoch,
        )  # fmt: skip
        return Commit(turn.entry)

    def _looked(self, event: Looked) -> Iterator[Effect]:
        assert self.current is not None
        if changes.is_needless(self, self.current, event):
            self.current = None
            yield from self._next(event.now_us)
        else:
            yield changes.commit(self, self.current, event)

    def _done(self) -> Iterator[Effect]:
        turn = self.current
        assert turn is not None
        assert turn.entry is not None
        assert turn.ran is not None
        fold(self.state, turn.entry, changes.past_of(turn.inputs, turn.ran))
        if (program := changes.adopt(self, turn.ran, turn.entry.seq)) is not None:
            yield Adopt(program)
        suspicion.forget(self, turn, FAILED_KEPT)
        if turn.recorded:
            yield suspicion.settle(self, turn)
        self.current, self.stalled = None, False
        yield from replies(turn, entry_answer(self.record.id, turn.entry))

    def _fail_current(self, error: DspexError, now_us: int) -> Iterator[Effect]:
        turn = self.current
        assert turn is not None
        self.current = None
        if turn.turn_id:
            remember(self.attempts, turn.turn_id, turn.attempt)
        failed = suspicion.attempt_of(self, turn, error, now_us)
        yield from suspicion.fail(self, turn, error, failed) if turn.kind == "turn" else replies(turn, error)

    def _refused(self, event: Committed) -> Iterator[Effect]:
        self.stalled = False
        yield from self._fail_current(refused(event.verdict), event.now_us)

    def _release(self) -> Iterator[Effect]:
        turn, self.current = self.current, None
        if turn is not None:
            if turn.entry is None:
                yield Abort(turn.token)
            yield from suspicion.give_back(self, turn) if turn.recorded else replies(turn, moved())
        yield from self._give_back()
        yield Stop()

    def _give_back(self) -> Iterator[Effect]:
        if self.current is not None and self.current.held:
            turn, self.current = self.current, None
            yield from replies(turn, moved())
        while self.mailbox:
            yield from replies(self.mailbox.popleft(), moved())

    def _stall(self) -> Iterator[Effect]:
        self.stalled = True
        turn = self.current
        if turn is not None:
            yield from (Reply(waiter, unknown(turn.turn_id)) for waiter in turn.waiters)
            turn.waiters.clear()
        while self.mailbox:
            yield from replies(self.mailbox.popleft(), unreachable())

    # Somebody stops waiting ------------------------------------------------------------------------------------
    def _leave(self, event: Leave) -> Iterator[Effect]:
        turn = self._turn_of(event.waiter)
        if turn is None:
            return
        turn.waiters[event.waiter] = False
        if turn.cancel_on_disconnect and not any(turn.waiters.values()):
            yield from self._drop(turn, Cancelled("The turn was cancelled: its client went away."), event.now_us)

    def _expire(self, event: Expire) -> Iterator[Effect]:
        turn = self._turn_of(event.waiter)
        if turn is None or (turn.entry is not None and not self.stalled):
            return  # queued for commit: its answer is about to come
        if len(turn.waiters) > 1 or turn.entry is not None:
            del turn.waiters[event.waiter]
            yield Reply(event.waiter, unknown(turn.turn_id))
            return
        what = "while it ran" if turn is self.current else "before it could start"
        detail = f"Time ran out {what}; nothing of it is in the session. Send it again with a longer timeout."
        late = suspicion.no_room(turn.turn_id) if turn.held else DeadlineExceeded(detail)
        yield from self._drop(turn, late, event.now_us)

    def _turn_of(self, waiter: Waiter) -> Turn | None:
        if self.current is not None and waiter in self.current.waiters:
            return self.current
        return next((turn for turn in self.mailbox if waiter in turn.waiters), None)

    def _drop(self, turn: Turn, error: DspexError, now_us: int) -> Iterator[Effect]:
        if turn.entry is not None:
            return
        if isinstance(error, Cancelled):
            remember(self.cancelled, turn.turn_id, None)
        if turn is self.current:
            yield Abort(turn.token)
            if not turn.held:  # else nothing of it runs, and nothing will end
                self.abandoned.add(turn.token)
            yield from self._fail_current(error, now_us)
            yield from self._next(now_us)
            return
        self.mailbox.remove(turn)
        if isinstance(error, Cancelled) and turn.kind == "turn":
            # so that its key tells what became of it
            failed = suspicion.attempt_of(self, turn, error, now_us, starts=turn.attempt - 1)
            yield from suspicion.fail(self, turn, error, failed)
        else:
            yield from replies(turn, error)


def remember(known: dict[str, T], turn_id: str, value: T) -> None:
    """Note something of a turn, and forget the oldest beyond what is kept."""
    known[turn_id] = value
    if len(known) > FAILED_KEPT:
        del known[next(iter(known))]
