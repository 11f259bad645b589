"""A turn on its way through the system: what is asked, what comes back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, field_validator

from dspex_actors.errors import InvalidRequest, Problem
from dspex_actors.ids import body_hash, check_name, new_ulid

_EVENT_ID = re.compile(r"([1-9][0-9]{0,3})\.([1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One turn for one session, as the API hands it over.

    `inputs` is JSON text (an object), `timeout_s` the time left for queueing and running. `turn_id` is the client's
    `Idempotency-Key`, else made by the router; `keyed` tells which. `stream` asks for events, those after `last_event`
    (attempt and number of the last one that the client has). `kind`: a change that is no turn goes the way of one, its
    `inputs` being what `rewind_request` and its like say.
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
    kind: str = "turn"
    last_event: tuple[int, int] = (1, 0)


def rewind_request(to_turn: int, key: str | None, timeout_s: float, request_id: str = "") -> TurnRequest:
    """A rewind to a turn that exists, or to 0, as it goes through the system."""
    inputs = {"to_turn": to_turn}
    return _change("rewind", inputs, inputs, key, timeout_s, request_id)


def variable_request(
    values: dict[str, Any], replace: bool, if_match: int | None, key: str | None, timeout_s: float, request_id: str = ""
) -> TurnRequest:
    """Values to set; with `replace` all others are not set any more. `if_match`: only if no entry after that one, which
    changed variables, has done so since."""
    payload = {"values": values, "replace": replace}
    return _change("variable", {**payload, "if_match": if_match}, payload, key, timeout_s, request_id)


def bind_request(
    asked: dict[str, Any], if_match: int | None, key: str | None, timeout_s: float, request_id: str = ""
) -> TurnRequest:
    """What a session is to be bound to, as `SessionChange.asked` gives it. `if_match` as with variables."""
    return _change("bind", {"asked": asked, "if_match": if_match}, asked, key, timeout_s, request_id)


def _change(
    kind: str, inputs: dict[str, Any], payload: object, key: str | None, timeout_s: float, request_id: str
) -> TurnRequest:
    """`payload` is what makes two uses of a key the same."""
    turn_id = new_ulid() if key is None else key
    return TurnRequest(
        turn_id, key is not None, body_hash(kind, payload), orjson.dumps(inputs), timeout_s,
        request_id=request_id or turn_id, kind=kind,
    )  # fmt: skip


class ValueSpec(BaseModel):
    """What a user says to set a variable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    value: Any


class ValuesSpec(BaseModel):
    """What a user says to set variables: a value by name; those that are not named have their first ones again."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    values: dict[str, Any]


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


def event_number(event_id: str) -> tuple[int, int]:
    """Attempt and number of an event, from its id. Raises InvalidRequest for what is none."""
    found = _EVENT_ID.fullmatch(event_id)
    if found is None:
        errors: list[Problem] = [{"loc": ["Last-Event-ID"], "msg": f"not {event_id[:40]!r}", "type": "last_event_id"}]
        raise InvalidRequest("Last-Event-ID takes the id of an event, <attempt>.<n>, such as 1.42.", errors=errors)
    return int(found[1]), int(found[2])


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
