"""The body of a predict call: one table for its checks and its schema."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import orjson

from dspex_actors.api.body import invalid, refused
from dspex_actors.api.call import Call
from dspex_actors.api.last_event import last_event
from dspex_actors.errors import Problem
from dspex_actors.ids import body_hash, new_ulid
from dspex_actors.resources.turn import TurnRequest

DEFAULT_TIMEOUT_S = 60.0
MAX_TIMEOUT_S = 3600.0
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}")
_SCHEMA = dict[str, Any]


def _is_timeout(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 < value <= MAX_TIMEOUT_S  # type: ignore[arg-type, operator]


def _is_turn_number(value: object) -> bool:
    return type(value) is int and 1 <= value < 2**63


FIELDS: dict[str, tuple[Callable[[object], bool], str, _SCHEMA]] = {
    "inputs": (
        lambda value: isinstance(value, dict),
        "an object with a value for each input of the program",
        {"type": "object", "description": "a value for each input of the program"},
    ),
    "timeout_s": (
        _is_timeout,
        f"a number of seconds above 0, at most {MAX_TIMEOUT_S:.0f}",
        {
            "type": ["number", "null"],
            "exclusiveMinimum": 0,
            "maximum": MAX_TIMEOUT_S,
            "description": "time for queueing and running; 60 when not given",
        },
    ),
    "expected_turn": (
        _is_turn_number,
        "a whole number from 1",
        {"type": ["integer", "null"], "minimum": 1, "description": "the number that this turn must get, else 412"},
    ),
    "cancel_on_disconnect": (
        lambda value: isinstance(value, bool),
        "true or false",
        {"type": ["boolean", "null"], "description": "stop the turn when the client goes away; else it runs on"},
    ),
}
SCHEMA: _SCHEMA = {
    "type": "object",
    "required": ["inputs"],
    "additionalProperties": False,
    "properties": {name: schema for name, (_, _, schema) in FIELDS.items()},
}


def turn_request(call: Call, body: dict[str, Any]) -> TurnRequest:
    """The turn that a call asks for. Raises InvalidRequest with every field that is wrong."""
    check_fields(body)
    inputs, key = body["inputs"], call.idempotency_key()
    return TurnRequest(
        turn_id=key or new_ulid(),
        keyed=key is not None,
        body_hash=body_hash("turn", inputs),
        inputs=orjson.dumps(inputs),
        timeout_s=timeout(call, body.get("timeout_s")),
        expected_turn=body.get("expected_turn"),
        cancel_on_disconnect=body.get("cancel_on_disconnect") or False,
        stream=b"text/event-stream" in call.headers.get(b"accept", b""),
        request_id=call.request_id,
        last_event=last_event(call),
    )


def check_fields(body: dict[str, Any]) -> None:
    """Raise InvalidRequest unless every field is known and right; null stands for an optional one not given."""
    errors: list[Problem] = []
    for name, value in body.items():
        known = FIELDS.get(name)
        if known is None:
            errors.append({"loc": [name], "msg": f"The body takes {', '.join(FIELDS)}", "type": "extra_forbidden"})
        elif not known[0](value) and (value is not None or name == "inputs"):
            errors.append({"loc": [name], "msg": f"{name} takes {known[1]}", "type": name})
    if "inputs" not in body:
        errors.append({"loc": ["inputs"], "msg": f"inputs is missing: {FIELDS['inputs'][1]}", "type": "missing"})
    if errors:
        raise refused(errors)


def timeout(call: Call, field: float | None = None, default_s: float = DEFAULT_TIMEOUT_S) -> float:
    """The smaller of the header's and the body's seconds; the default without either. Raises InvalidRequest."""
    header = call.headers.get(b"x-request-timeout")
    if header is None:
        return default_s if field is None else float(field)
    text = header.decode("latin-1").strip()
    if not _SECONDS.fullmatch(text) or not _is_timeout(float(text)):
        invalid("X-Request-Timeout", f"X-Request-Timeout takes {FIELDS['timeout_s'][1]}", "timeout_s")
    return float(text) if field is None else min(float(text), float(field))
