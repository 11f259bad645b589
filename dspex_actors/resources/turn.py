"""A turn on its way through the system: what is asked, what comes back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One turn for one session, as the API hands it over.

    `inputs` is JSON text (an object), `timeout_s` the time left for queueing and running. `turn_id` is the client's
    `Idempotency-Key`, else made by the router; `keyed` tells which. `stream` asks for events.
    """

    turn_id: str
    keyed: bool
    body_hash: bytes
    inputs: bytes
    timeout_s: float
    expected_turn: int | None = None
    cancel_on_disconnect: bool = False
    stream: bool = False
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class TurnAnswer:
    """A committed turn. `body` is the JSON answer, ready to send."""

    body: bytes
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class TurnEvent:
    """One event of a streamed turn: `id` is `<attempt>.<n>`, `name` the event's, `data` JSON text."""

    id: str
    name: str
    data: bytes
    replayed: bool = False
