"""A turn on its way through the system: what is asked, what comes back."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, field_validator

from dspex_actors.ids import check_name


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


class CancelSpec(BaseModel):
    """Which turn to cancel: that one, waiting or running, or the one that runs where none is named."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    turn_id: str | None = None

    @field_validator("turn_id")
    @classmethod
    def _turn_id(cls, value: str | None) -> str | None:
        return value if value is None else check_name(value, "turn_id")


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What a cancel call came to, as turn ids.

    `cancelled` have ended so, now or at an earlier call; nothing of them is in the session. `too_late` goes on, or has
    ended otherwise: it is being committed, is recorded, or failed. Both are empty when there was nothing to cancel.
    """

    cancelled: tuple[str, ...] = ()
    too_late: tuple[str, ...] = ()
    replayed: bool = False
