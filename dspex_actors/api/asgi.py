"""The ASGI vocabulary, and the answer that most handlers give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson

# Any: ASGI messages are open dictionaries by their specification.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json"
REPLAYED: Headers = ((b"idempotency-replayed", b"true"),)
SAFETY: Headers = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class ClientGone(Exception):
    """The client closed the connection before its request was complete: there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. `body` goes out as it is."""

    body: bytes = b""
    status: int = 200
    media_type: bytes = JSON
    headers: Headers = ()


def json_response(value: object, status: int = 200, headers: Headers = ()) -> Response:
    """A value as JSON."""
    return Response(orjson.dumps(value), status, headers=headers)


async def send_response(send: Send, response: Response, request_id: str, *, head: bool = False) -> None:
    """Send an answer with the headers that every answer carries; for HEAD without its body."""
    headers = [(b"x-request-id", request_id.encode()), *SAFETY, *response.headers]
    if response.status != 204:
        headers += (b"content-type", response.media_type), (b"content-length", b"%d" % len(response.body))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else response.body})
