"""Cancelling a turn: which one is meant, what comes of it, and the same answer when the call is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dspex_actors.errors import NoCapacity
from dspex_actors.resources.turn import Cancellation
from dspex_actors.sessions.activation import Activation
from dspex_actors.sessions.events import Cancel, Event
from dspex_actors.sessions.session import Session, Turn

CALLS_KEPT = 16
"""Calls without a turn's id whose answers a session remembers: repeated, they must not cancel the next turn too."""
PATIENCE_S = 2.0
RETRY_S = 0.02


def cancel(
    activation: Activation | None,
    turn_id: str | None,
    key: str,
    now_us: int,
    handle: Callable[[Activation, Event], None],
) -> Cancellation | None:
    """Cancel a turn of a session on its host; None while the session is being read: ask again in a moment.

    Args:
        activation: The session in the host's memory, if it is there.
        turn_id: The turn; the one that runs, else the one that is next, where None.
        key: The call's `Idempotency-Key`, or "".
        now_us: The time, microseconds UTC.
        handle: Takes the event in.
    """
    if activation is None:
        return Cancellation()
    session = activation.session
    if session is None:
        return None
    if turn_id is None and (known := activation.cancels.get(key)) is not None:
        return Cancellation(known.cancelled, known.too_late, replayed=True)
    turn = _meant(session, turn_id)
    if turn is None:
        found = _ended(session, turn_id)
    elif turn.entry is not None:
        found = Cancellation(too_late=(turn.turn_id,))
    else:
        handle(activation, Cancel(turn.turn_id, now_us))
        found = Cancellation((turn.turn_id,))
    if turn_id is None and key:
        _remember(activation.cancels, key, found)
    return found


async def insist(ask: Callable[[], Awaitable[Cancellation | None]]) -> Cancellation:
    """Ask until somebody can say. Raises NoCapacity after 2 s; a question that was not answered is not repeated."""
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_S
    while (found := await ask()) is None:
        if loop.time() >= until:
            raise NoCapacity("No host could cancel turns of this session in time. Try again.", retry_after_s=1)
        await asyncio.sleep(RETRY_S)
    return found


def _meant(session: Session, turn_id: str | None) -> Turn | None:
    if turn_id is not None:
        return session.find(turn_id)
    return next((turn for turn in (session.current, *session.mailbox) if turn is not None and turn.turn_id), None)


def _ended(session: Session, turn_id: str | None) -> Cancellation:
    if turn_id is None:
        return Cancellation()
    if turn_id in session.cancelled:
        return Cancellation((turn_id,))
    # Whether it is recorded, the journal knows for certain, and the caller asks there.
    return Cancellation(too_late=(turn_id,)) if turn_id in session.attempts else Cancellation()


def _remember(calls: dict[str, Cancellation], key: str, found: Cancellation) -> None:
    calls[key] = found
    if len(calls) > CALLS_KEPT:
        del calls[next(iter(calls))]
