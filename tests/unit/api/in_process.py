"""Drives the ASGI application without a socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson

from dspex_actors.api.asgi import ASGIApp, Message, Scope
from tests.unit.api.fake_runtime import ADMIN


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    scope: Scope = field(default_factory=dict)

    def json(self) -> Any:
        """The body, parsed."""
        return orjson.loads(self.body)


def as_bearer(key: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"authorization": f"Bearer {key}"}


async def ask(
    app: ASGIApp,
    method: str,
    target: str,
    *chunks: bytes,
    headers: dict[str, str] | None = None,
    key: str | None = ADMIN,
    scheme: str = "http",
) -> Answer:
    """Send one request with its body in chunks, and gather the answer; the client stays until the end."""
    path, _, query = target.partition("?")
    given = {"host": "127.0.0.1:8000", **(as_bearer(key) if key else {}), **(headers or {})}
    scope: Scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "scheme": scheme}
    scope.update(query_string=query.encode(), headers=[(k.encode(), v.encode()) for k, v in given.items()])
    answer, rest = Answer(scope=scope), list(chunks)

    async def receive() -> Message:
        if rest or "read" not in scope:
            scope["read"] = True
            body = rest.pop(0) if rest else b""
            return {"type": "http.request", "body": body, "more_body": bool(rest)}
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message["body"]

    await app(scope, receive, send)
    return answer
