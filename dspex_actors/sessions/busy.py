"""What becomes of a turn that arrives while others of its session run or wait: the session's `on_busy`.

Pure, like `session.py`, which asks here. A turn that was sent before (its host was lost, or its unit moved) was let in
then: it waits, whatever the policy, and interrupts nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dspex_actors.errors import Cancelled, DspexError, PreconditionFailed, SessionBusy

if TYPE_CHECKING:
    from dspex_actors.sessions.events import Arrive
    from dspex_actors.sessions.session import Session

RETRY_AFTER_S = 1.0
POLICED = ("turn", "rewind")
"""What the policy is about. Other changes wait in line and are over at once: they interrupt nobody, and nobody them."""


def refusal(session: Session, event: Arrive) -> DspexError | None:
    """Why a new turn may not come in, if it may not."""
    if event.kind not in POLICED:
        return None
    if session.record.on_busy == "reject" and session.in_flight and not event.resent:
        detail = "A turn of this session runs already, and its on_busy is reject. Send this again when that has ended."
        return SessionBusy(detail, retry_after_s=RETRY_AFTER_S)
    if event.expected_turn is not None and interrupts(session, event):
        return _out_of_turn_behind_commit(session, event.expected_turn)
    return None


def interrupts(session: Session, event: Arrive) -> bool:
    """Whether a new turn cancels those before it."""
    policed = event.kind in POLICED and not event.resent
    return session.record.on_busy == "interrupt" and session.in_flight > 0 and policed


def out_of_turn(expected: int | None, upcoming: int) -> PreconditionFailed | None:
    """Why a turn may not have the number `upcoming`, if it may not."""
    if expected is None or expected == upcoming:
        return None
    return PreconditionFailed(
        f"The next turn of this session is {upcoming}, not {expected}. Read what came in between, then send the turn "
        "again with that number."
    )


def interrupted() -> Cancelled:
    """What those hear that a newer turn cancels."""
    return Cancelled("A newer turn interrupted this one (on_busy: interrupt); nothing of this one is in the session.")


def cancelled() -> Cancelled:
    """What those hear whose turn somebody cancels."""
    return Cancelled("The turn was cancelled; nothing of it is in the session. Send it again if it is still wanted.")


def _out_of_turn_behind_commit(session: Session, expected: int) -> DspexError | None:
    """Looked at before anybody is interrupted for a turn that cannot run. One being committed may still fail."""
    upcoming = session.state.turn + 1
    committing = session.current is not None and session.current.entry is not None
    if committing and expected == upcoming + 1:
        return None
    return out_of_turn(expected, upcoming)
