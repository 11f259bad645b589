"""Request bodies: read within bounds, parsed without guessing."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from dspex_actors.api.asgi import ClientGone
from dspex_actors.api.call import Call
from dspex_actors.config import MAX_BODY_BYTES
from dspex_actors.errors import BodyTooLarge, InvalidJson, InvalidRequest, Problem

Model = TypeVar("Model", bound=BaseModel)

MAX_DEPTH = 100
MAX_ERRORS = 20
MAX_LOC = 100
LARGE_BYTES = 256 * 1024
_DUMPS_DEPTH = 254  # orjson's own limit


async def read_body(call: Call) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as it is known to be, ClientGone when the client leaves."""
    declared = call.headers.get(b"content-length", b"0")
    if declared.isdigit():
        _check_size(int(declared))
    message = await call.receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        _check_size(len(body))
        return body
    chunks = bytearray()
    while message["type"] == "http.request":
        chunks += message.get("body", b"")
        _check_size(len(chunks))
        if not message.get("more_body"):
            return bytes(chunks)
        message = await call.receive()
    raise ClientGone


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_BODY_BYTES:
        raise BodyTooLarge(f"A body may have {MAX_BODY_BYTES:,} bytes. Send less at once.")


async def read_json(call: Call) -> dict[str, Any]:
    """The body as a JSON object. Raises InvalidJson, InvalidRequest, BodyTooLarge."""
    body = await read_body(call)
    if len(body) > LARGE_BYTES:
        return await asyncio.to_thread(parse_object, body)
    return parse_object(body)


async def read_optional_json(call: Call) -> dict[str, Any]:
    """The body as a JSON object, an empty one where there is no body. Raises as `read_json`."""
    body = await read_body(call)
    return parse_object(body) if body else {}


def parse_object(body: bytes) -> dict[str, Any]:
    """One JSON object, nothing in it lost: no duplicate name, no integer that 64 bits cannot hold.

    Raises:
        InvalidJson: Not JSON in UTF-8 (NaN, Infinity and half surrogate pairs are not JSON).
        InvalidRequest: JSON, but not an object, too deep, or with something that would be lost.
    """
    if not body:
        raise InvalidJson("The body is empty. Send a JSON object.")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(f"The body is not JSON: {error.msg} at character {error.pos}. Send a JSON object.") from None
    if not isinstance(value, dict):
        invalid("", "The body must be a JSON object", "object_type")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    _STRICT.decode(body.decode())
    return value


def invalid(loc: str, msg: str, kind: str) -> NoReturn:
    """Refuse a request for one reason."""
    raise InvalidRequest(f"{msg}.", errors=[{"loc": [loc] if loc else [], "msg": msg, "type": kind}])


def _check_depth(value: object) -> None:
    nested = value
    for _ in range(_DUMPS_DEPTH - MAX_DEPTH):
        nested = [nested]
    try:
        orjson.dumps(nested)
    except TypeError:
        invalid("", f"The body is nested deeper than {MAX_DEPTH} levels", "too_deep")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        invalid(twice[:MAX_LOC], "A name is given twice in one object", "duplicate_key")
    return value


def _integer(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (value := int(text)) < 2**64:
        invalid("", "An integer does not fit 64 bits. Send it as a string", "int_range")
    return value


_STRICT = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_integer)


def validated(model: type[Model], value: dict[str, Any]) -> Model:
    """The value as a resource. Raises InvalidRequest with every field that is wrong, 20 at most."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refused(
            [
                {"loc": list(one["loc"]), "msg": one["msg"], "type": one["type"]}
                for one in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


def refused(errors: list[Problem]) -> InvalidRequest:
    """The error for a body with these things wrong, cut to a size that can be read."""
    for problem in errors[:MAX_ERRORS]:
        problem["loc"] = [part[:MAX_LOC] if isinstance(part, str) else part for part in problem["loc"]]
    places = ", ".join(".".join(map(str, problem["loc"])) for problem in errors[:3])
    more = f" and {len(errors) - 3} more" if len(errors) > 3 else ""
    return InvalidRequest(f"Correct {places}{more}, as `errors` says.", errors=errors[:MAX_ERRORS])
