"""Everything that can be asked of a server, each as a value: what to send, and how to read what comes back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import orjson

from dspex_actors.client.failures import Answer
from dspex_actors.client.reply import Json, Reply, reply_of
from dspex_actors.errors import InvalidRequest
from dspex_actors.ids import check_name, new_ulid

T = TypeVar("T")

MAX_TIMEOUT_S = 3600.0
PAGE = 200
EVENTS = "text/event-stream"
RETENTION = "/v1/retention"
_OPTIONS = "idempotency_key, timeout_s, expected_turn, cancel_on_disconnect"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request. `key` is set for everything that changes something, and is the same at each of its attempts;
    `last_event_id` where a stream goes on."""

    method: str
    path: str
    read: Callable[[Answer], T]
    body: bytes | None = None
    key: str | None = None
    accept: str = "application/json"
    public: bool = False
    last_event_id: str | None = None
    if_match: str | None = None


def fetch(path: str, **query: object) -> Call[Json]:
    """The JSON object at a path; a parameter that is None is left out."""
    given = {name: value for name, value in query.items() if value is not None}
    return Call("GET", f"{path}?{urlencode(given)}" if given else path, _json)


def page(path: str, cursor: str | None, **query: object) -> Call[Json]:
    """A page of a list: `items` and `next_cursor`."""
    return fetch(path, limit=PAGE, cursor=cursor, **query)


def create(path: str, **fields: object) -> Call[Json]:
    """Create a thing from the fields that are given (not None). Raises InvalidRequest for what JSON does not have."""
    body = {name: value for name, value in fields.items() if value is not None}
    return Call("POST", path, _json, _encoded(body), new_ulid())


def restart(path: str) -> Call[Json]:
    """Restart the thing at a path."""
    return Call("POST", f"{path}/restart", _json, None, new_ulid())


def rewind(session: str, to_turn: int, key: str | None) -> Call[Json]:
    """Let a session go to a turn. Raises InvalidRequest for a key that is no name."""
    turn_id = new_ulid() if key is None else check_name(key, "idempotency_key")
    return Call("POST", f"{session_path(session)}/rewind", _json, _encoded({"to_turn": to_turn}), turn_id)


def migrate(session: str, host: str | None) -> Call[Json]:
    """Move a session to another host."""
    return create(f"{session_path(session)}/migrate", host=host)


def drain(host: str) -> Call[Json]:
    """Let a host give away all it has."""
    return create(f"/v1/hosts/{_segment(host)}/drain")


def fork(session: str, at_turn: int | None, new: str | None) -> Call[Json]:
    """Create a session with the past of another one."""
    return create(f"{session_path(session)}/fork", at_turn=at_turn, id=new)


def change(path: str, changes: Mapping[str, object], if_match: str | None) -> Call[Json]:
    """Change the thing at a path; a change to None takes something away."""
    return Call("PATCH", path, _json, _encoded(dict(changes)), new_ulid(), if_match=if_match)


def promote(name: str, version: int) -> Call[Json]:
    """Let a version of a program be the live one."""
    return create(f"{program_path(name)}/promote", version=version)


def set_variable(session: str, name: str, value: object, if_match: int | None, key: str | None) -> Call[Json]:
    """Set one variable of a session. Raises InvalidRequest for what JSON does not have."""
    return _put(f"{session_path(session)}/variables/{_segment(name)}", {"value": value}, if_match, key)


def set_variables(session: str, values: Mapping[str, object], if_match: int | None, key: str | None) -> Call[Json]:
    """Set these variables of a session, and no others. Raises InvalidRequest for what JSON does not have."""
    return _put(f"{session_path(session)}/variables", {"values": dict(values)}, if_match, key)


def keep(fields: Json) -> Call[Json]:
    """Say how long the past of sessions is kept."""
    return _put(RETENTION, fields, None, None)


def _put(path: str, body: Json, if_match: int | None, key: str | None) -> Call[Json]:
    turn_id = new_ulid() if key is None else check_name(key, "idempotency_key")
    tag = None if if_match is None else str(if_match)
    return Call("PUT", path, _json, _encoded(body), turn_id, if_match=tag)


def cancel(path: str, turn_id: str | None) -> Call[Json]:
    """Cancel a turn of the session at a path. Raises InvalidRequest for an id that is none."""
    body = {} if turn_id is None else {"turn_id": check_name(turn_id, "turn_id")}
    return Call("POST", f"{path}/cancel", _json, _encoded(body), new_ulid())


def remove(path: str) -> Call[None]:
    """Delete the thing at a path."""
    return Call("DELETE", path, lambda answer: None)


def predict(
    session: str, inputs: Json, *, key: str | None, expected_turn: int | None, cancel_on_disconnect: bool, stream: bool
) -> Call[Reply]:
    """A turn of a session. Raises InvalidRequest for inputs that JSON does not have, or a key that is no name."""
    body: Json = {"inputs": inputs}
    if expected_turn is not None:
        body["expected_turn"] = expected_turn
    if cancel_on_disconnect:
        body["cancel_on_disconnect"] = True
    turn_id = new_ulid() if key is None else check_name(key, "idempotency_key")
    accept = EVENTS if stream else "application/json"
    return Call("POST", f"{session_path(session)}/predict", _reply, _encoded(body), turn_id, accept)


def watch(session: str, turn_id: str, last_event_id: str | None = None) -> Call[Any]:
    """The stream of a turn that was sent before. Raises InvalidRequest for an id that is none."""
    path = f"{turn_path(session, check_name(turn_id, 'turn_id'))}/events"
    return Call("GET", path, lambda answer: None, accept=EVENTS, last_event_id=last_event_id)


def program_path(name: str) -> str:
    """Where a program is."""
    return f"/v1/programs/{_segment(name)}"


def session_path(session: str) -> str:
    """Where a session is."""
    return f"/v1/sessions/{_segment(session)}"


def turn_path(session: str, turn: int | str) -> str:
    """Where a turn is, by number (int) or by id (str)."""
    last = f"by-id/{_segment(turn)}" if isinstance(turn, str) else str(turn)
    return f"{session_path(session)}/turns/{last}"


def merged(inputs: Mapping[str, object] | None, fields: Json) -> Json:
    """The inputs of a turn, from `inputs=` and from keywords. Raises InvalidRequest when a field is in both."""
    if inputs is None:
        return fields
    if not isinstance(inputs, Mapping):
        msg = "inputs= takes a dictionary of the program's fields; a field of that name goes in it, too"
        raise InvalidRequest(f"{msg}: inputs={{'inputs': …}}.")
    if twice := sorted(inputs.keys() & fields.keys()):
        raise InvalidRequest(f"{', '.join(twice)}: given in inputs= and as a keyword. Give each field once.")
    return {**inputs, **fields}


def checked_timeout(timeout_s: float) -> float:
    """The timeout. Raises InvalidRequest unless it is a number of seconds above 0, at most 3600."""
    if isinstance(timeout_s, (int, float)) and math.isfinite(timeout_s) and 0 < timeout_s <= MAX_TIMEOUT_S:
        return float(timeout_s)
    msg = f"timeout_s takes a number of seconds above 0, at most {MAX_TIMEOUT_S:.0f}"
    raise InvalidRequest(f"{msg}; a field of a program that has the name of an option ({_OPTIONS}) goes in inputs=.")


def _segment(name: str) -> str:
    if not name or name in (".", ".."):
        raise InvalidRequest("A name is missing: a program, a session, a turn or a host has one character at least.")
    return quote(name, safe="")


def _encoded(body: Json) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise InvalidRequest(f"Only values that JSON has can be sent: {error}.") from error


def _json(answer: Answer) -> Json:
    value: Any = orjson.loads(answer.body)
    if not isinstance(value, dict):
        raise ValueError
    return value


def _reply(answer: Answer) -> Reply:
    return reply_of(_json(answer), answer.replayed)


READY: Call[Json] = Call("GET", "/readyz", _json, public=True)
