"""A server that speaks the OpenAI chat-completions wire format, as far as the tests of this folder need it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came over the wire."""

    path: str
    authorization: str | None
    body: dict[str, Any]


@dataclass(slots=True)
class Wire:
    """The server: `answers` are used up one a call, the last one again and again; `calls` are what came."""

    base: str = ""
    answers: list[Answer] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record the call and answer it as planned."""
        self.calls.append(Call(request.path, request.headers.get("Authorization"), await request.json()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


@contextlib.contextmanager
def serving(*answers: Answer) -> Iterator[Wire]:
    """A server on a free port of 127.0.0.1, in a thread with a loop of its own, gone when the block ends."""
    wire = Wire(answers=list(answers))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(10)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", wire.handle)
    server = TestServer(app, host="127.0.0.1")
    try:
        run(server.start_server(shutdown_timeout=0))
        wire.base = f"http://127.0.0.1:{server.port}/v1"
        yield wire
    finally:
        run(server.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c-1", "object": "chat.completion.chunk", "model": "gpt-4o-mini", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


async def _event_stream(request: web.Request, events: AsyncIterator[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    async for event in events:
        await response.write(event)
    return response


def says(text: str | None) -> Answer:
    """A whole answer; word by word where the request asks for a stream."""

    async def words() -> AsyncIterator[bytes]:
        yield _chunk({"role": "assistant", "content": ""})
        for word in (text or "").split(" "):
            yield _chunk({"content": f"{word} "})
        yield _chunk({}, "stop")
        yield b"data: [DONE]\n\n"

    async def answer(request: web.Request) -> web.StreamResponse:
        if (await request.json()).get("stream"):
            return await _event_stream(request, words())
        message = {"role": "assistant", "content": text}
        choices = [{"index": 0, "finish_reason": "stop", "message": message}]
        return web.json_response(
            {
                "id": "c-1",
                "object": "chat.completion",
                "model": "gpt-4o-mini",
                "choices": choices,
                "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
            }
        )

    return answer


def fails(status: int, **headers: str) -> Answer:
    """A provider's error, whose text repeats the key that it was given."""

    async def answer(request: web.Request) -> web.StreamResponse:
        error = {"message": f"refused {request.headers['Authorization']}", "type": "x", "code": None}
        return web.json_response({"error": error}, status=status, headers=headers)

    return answer


def replies(text: str) -> Answer:
    """A 200 whose body is this text."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type="application/json")

    return answer


async def hangs(_: web.Request) -> web.StreamResponse:
    """No answer until the caller is gone."""
    await asyncio.Event().wait()
    raise AssertionError


async def cuts(request: web.Request) -> web.StreamResponse:
    """The connection breaks in the middle of the body."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id": "c-1", "choices": [')
    assert request.transport is not None
    request.transport.close()
    return response


async def cuts_stream(request: web.Request) -> web.StreamResponse:
    """The connection breaks between two tokens."""

    async def two() -> AsyncIterator[bytes]:
        yield _chunk({"role": "assistant", "content": "[[ ## answer ## ]]\n"})
        yield _chunk({"content": "half an "})

    response = await _event_stream(request, two())
    assert request.transport is not None
    request.transport.close()
    return response
