"""Turns that may have killed their hosts: what is written before they begin, and which of them do not.

Pure, like `session.py`, which asks here. A turn without a past begins at once. One that was running when its host was
lost, or that has failed attempts, is looked up first (`Examine`); its attempt is on record before it begins, as one
whose host was lost, and the record is corrected when the attempt has ended (`Settle`), before anybody hears of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

import orjson

from dspex_actors.errors import DeadlineExceeded, DspexError, HostLost, Internal, NoCapacity, PoisonTurn
from dspex_actors.resources.journal import FailedTurn
from dspex_actors.resources.losses import ALONE, Losses
from dspex_actors.sessions import changes
from dspex_actors.sessions.answers import moved, replies
from dspex_actors.sessions.events import Effect, Examine, Examined, Record, Reply, Settle, Start

if TYPE_CHECKING:
    from dspex_actors.sessions.events import Waiter
    from dspex_actors.sessions.session import Session, Turn

LOSSES = 2
"""A turn that was running at so many losses runs alone from then on."""


class Finding(Enum):
    """What may be done with a turn that was looked up."""

    FREE = "free"
    """Nothing counts against it."""
    RECORDED = "recorded"
    """Its attempt is on record: it may begin."""
    HELD = "held"
    """It may run only on a host that has nothing else to do."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done, and written before."""

    finding: Finding | PoisonTurn
    rows: tuple[FailedTurn, ...] = ()


def begin(session: Session, turn: Turn, known: int) -> Effect:
    """Start the turn, or look it up first; `known` is how many turns that failed a session remembers."""
    session.begun = True
    if not turn.losses and turn.turn_id not in session.attempts and len(session.attempts) < known:
        return start(session, turn)
    turn.recorded = True
    return Examine(turn.token, attempt_of(session, turn, HostLost(_LOST), turn.started_at_us), turn.losses)


def forget(session: Session, turn: Turn, known: int) -> None:
    """It is done. But where as many are remembered as may be, some were forgotten: then a place that became free would
    make those look as if they had no past."""
    if len(session.attempts) < known:
        session.attempts.pop(turn.turn_id, None)


def examined(session: Session, event: Examined) -> Iterator[Effect]:
    """It was looked up: refuse it, let it wait for a host of its own, or start it."""
    turn, finding = session.current, event.finding
    assert turn is not None
    turn.recorded, turn.held = finding is Finding.RECORDED, finding is Finding.HELD
    if isinstance(finding, DspexError):
        session.current = None
        yield from replies(turn, finding)
    elif not turn.held:
        yield start(session, turn)


def start(session: Session, turn: Turn) -> Effect:
    """Run the program."""
    past = tuple(session.state.history)
    return Start(turn.token, turn.turn_id, turn.attempt, turn.inputs, past, changes.variables(session), turn.waited)


def attempt_of(session: Session, turn: Turn, error: DspexError, now_us: int, starts: int | None = None) -> FailedTurn:
    """An attempt of the turn, as a failed one."""
    return FailedTurn(
        uid=session.record.uid, turn_id=turn.turn_id, attempt=turn.attempt if starts is None else starts,
        after_turn=session.state.turn, inputs=orjson.dumps(turn.inputs), problem=orjson.dumps(error.problem()),
        at_us=now_us,
    )  # fmt: skip


def give_back(session: Session, turn: Turn) -> Iterator[Effect]:
    """It and all behind it go back to their routers: in order, so after its attempt has been taken off the record."""
    back = [turn, *session.mailbox]
    session.mailbox.clear()
    yield settle(session, turn, [waiter for one in back for waiter in one.waiters], moved())
    yield from (Reply(watcher, moved()) for one in back for watcher in one.watchers)


def fail(session: Session, turn: Turn, error: DspexError, failed: FailedTurn) -> Iterator[Effect]:
    """It has failed. Who only watches, or has no time left, need not wait for the record."""
    if turn.recorded:
        yield settle(session, turn, tuple(turn.waiters), error, failed)
    elif isinstance(error, DeadlineExceeded):
        yield Record(failed)
        yield from (Reply(waiter, error) for waiter in turn.waiters)
    else:
        yield Record(failed, tuple(turn.waiters), error)
    yield from (Reply(watcher, error) for watcher in turn.watchers)


def settle(
    session: Session,
    turn: Turn,
    waiters: Sequence[Waiter] = (),
    answer: bytes | DspexError = b"",
    failed: FailedTurn | None = None,
) -> Effect:
    """The turn's attempt has ended: correct the record, then answer."""
    turn.recorded = False
    return Settle(session.record.uid, turn.turn_id, turn.attempt, failed, tuple(waiters), answer)


def judge(told: int, recorded: Losses, attempt: FailedTurn, alone: bool) -> Verdict:
    """What to do with a turn.

    Args:
        told: How many losses its router thinks it was running at. It also counts where it only waited, so from the
            second on the record is believed: no turn that its router calls a suspect begins before it is there.
        recorded: What the store says of its earlier attempts.
        attempt: The one that is about to begin, as it is written.
        alone: Whether this host has nothing else to do.
    """
    if recorded.poison is not None:
        return Verdict(poison(attempt.turn_id))
    if recorded.alone is not None:
        error = poison(attempt.turn_id)
        return Verdict(error, (replace(recorded.alone, problem=orjson.dumps(error.problem())),))
    losses = recorded.count or min(told, 1)
    if losses == 0:
        return Verdict(Finding.FREE)
    if losses >= LOSSES and not alone:
        return Verdict(Finding.HELD)
    mark = {ALONE: True} if losses >= LOSSES else {}
    row = replace(attempt, problem=orjson.dumps({**orjson.loads(attempt.problem), **mark}))
    before = replace(attempt, attempt=attempt.attempt - 1)
    return Verdict(Finding.RECORDED, (before, row) if recorded.count < losses and before.attempt else (row,))


def poison(turn_id: str) -> PoisonTurn:
    """It does not run again."""
    return PoisonTurn(
        f"Turn {turn_id} was running at the losses of {LOSSES} hosts, and of one more that it had to itself: it is not "
        "started any more. Nothing of it is in the session, which takes other turns. Correct the program or the "
        "inputs, then send them under a fresh Idempotency-Key."
    )


def no_room(turn_id: str) -> NoCapacity:
    """It has waited in vain."""
    return NoCapacity(
        f"Turn {turn_id} was running when {LOSSES} hosts were lost, so it waits for a host of its own, and none became "
        "free in time. Send it again with the same Idempotency-Key and more time, or raise DSPEX_STANDBY.",
        retry_after_s=2,
    )


def broken() -> Internal:
    """Nobody can say whether it may run."""
    return Internal("The turn's earlier attempts could not be read or recorded. The log has the cause.")


_LOST = "The host was lost while this attempt ran; nothing of it is in the session."
