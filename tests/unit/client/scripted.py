"""A server that answers from a script, and a client whose time passes only when it waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson

from dspex_actors.client.attempts import Retry
from dspex_actors.client.client import Client
from dspex_actors.errors import CODES

URL = "http://127.0.0.1:8000"
ANSWER: dict[str, Any] = {
    "session": "s", "turn": 1, "turn_id": "k", "outputs": {"answer": "42"}, "usage": {"calls": 1}, "latency_ms": 1.5,
    "model": "mock", "attempts": 1,
}  # fmt: skip
Step = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Script(httpx.BaseTransport):
    """Answers each request with the next step, the last one for ever; keeps what was asked and the waits between."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []
        self.time_s = 0.0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The next step."""
        self.requests.append(request)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, httpx.Response) else step(request)

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.waits.append(seconds)
        self.time_s += seconds

    def client(self, retry: Retry | None = None, **options: Any) -> Client:
        """A client of this server."""
        options = {"api_key": "dspex_secret", **options}
        return Client(URL, retry=retry, transport=self, now=lambda: self.time_s, sleep=self.sleep, **options)

    def sent(self, header: str) -> list[str | None]:
        """A header of every request."""
        return [request.headers.get(header) for request in self.requests]


def answered(body: dict[str, Any] | None = None, status: int = 200, **headers: str) -> httpx.Response:
    """A good answer."""
    return httpx.Response(status, json=body or ANSWER, headers=headers)


def problem(code: str, retry_after: str | None = None, **more: Any) -> httpx.Response:
    """A problem as the server sends it."""
    cls = CODES[code]
    body = orjson.dumps({**cls(f"It was {code}.").problem(), "request_id": "req-1", **more})
    headers = {"content-type": "application/problem+json"} | ({"retry-after": retry_after} if retry_after else {})
    return httpx.Response(cls.status, content=body, headers=headers)


def text(status: int, body: str = "<html>proxy</html>") -> httpx.Response:
    """What a proxy says by itself."""
    return httpx.Response(status, text=body)


def event(number: int, name: str, **data: Any) -> bytes:
    """An event's lines; one that has an attempt is numbered under it."""
    return b"id: %d.%d\nevent: %s\ndata: %s\n\n" % (data.get("attempt", 1), number, name.encode(), orjson.dumps(data))


class Pieces(httpx.SyncByteStream):
    """A body in pieces; an exception among them breaks it off."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def streamed(*pieces: bytes | Exception) -> httpx.Response:
    """An event stream."""
    return httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, stream=Pieces(*pieces))
