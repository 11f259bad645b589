"""What those who wait for a turn are told, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dspex_actors.errors import (
    DspexError,
    Gone,
    IdempotencyMismatch,
    Internal,
    MailboxFull,
    Moved,
    OutcomeUnknown,
    StoreUnavailable,
)
from dspex_actors.resources.journal import Verdict
from dspex_actors.sessions.events import Effect, Reply

if TYPE_CHECKING:
    from dspex_actors.sessions.session import Turn

MAILBOX_LIMIT = 100
"""Turns that may wait in one session."""


def replies(turn: Turn, answer: bytes | DspexError) -> Iterator[Effect]:
    """The same answer for everybody who waits for the turn; whoever has left does not listen."""
    return (Reply(waiter, answer) for waiter in (*turn.waiters, *turn.watchers))


def full() -> MailboxFull:
    """As many turns wait as may."""
    detail = f"{MAILBOX_LIMIT} turns wait in this session already. Wait for some of them, then send this again."
    return MailboxFull(detail, retry_after_s=1)


def mismatch(turn_id: str) -> IdempotencyMismatch:
    """The key is taken by another body."""
    return IdempotencyMismatch(
        f"The key {turn_id} was used for another body in this session. Use a fresh key for a new turn."
    )


def moved() -> Moved:
    """Not here: the router tries again, by a newer table if there is one."""
    return Moved("This session is served by another host now.")


def unreachable() -> StoreUnavailable:
    """Nothing has begun, because it could not be committed."""
    return StoreUnavailable("The store does not answer; this turn did not run. Try again shortly.")


def refused(verdict: Verdict) -> DspexError:
    """Nothing of it was written, and nothing will be."""
    if verdict is Verdict.GONE:
        msg = "The turn to go back to has been removed meanwhile, as the retention of this tenant says; nothing was "
        return Gone(f"{msg}changed. Go back to a turn that is left: list the session's turns to see them.")
    detail = "The store does not take this turn; nothing of it is in the session. The server's log has the cause."
    return Internal(detail)


def unknown(turn_id: str) -> OutcomeUnknown:
    """The turn may or may not be in the journal."""
    return OutcomeUnknown(
        f"The answer of turn {turn_id} was lost; it happened whole or not at all. Send it again with the same "
        "Idempotency-Key, or read it under turns/by-id."
    )
