"""What those hear whose turn does not go the usual way."""

from __future__ import annotations

from dspex_actors.errors import IdempotencyMismatch, MailboxFull, OutcomeUnknown

MAILBOX_LIMIT = 100
"""Turns that may wait in one session."""


def full() -> MailboxFull:
    """As many turns wait as may."""
    detail = f"{MAILBOX_LIMIT} turns wait in this session already. Wait for some of them, then send this again."
    return MailboxFull(detail, retry_after_s=1)


def mismatch(turn_id: str) -> IdempotencyMismatch:
    """The key is taken by another body."""
    return IdempotencyMismatch(
        f"The key {turn_id} was used for another body in this session. Use a fresh key for a new turn."
    )


def unknown(turn_id: str) -> OutcomeUnknown:
    """The turn may or may not be in the journal."""
    return OutcomeUnknown(
        f"The answer of turn {turn_id} was lost; it happened whole or not at all. Send it again with the same "
        "Idempotency-Key, or read it under turns/by-id."
    )
