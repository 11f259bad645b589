"""The asynchronous shell does the same effects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

import dspex_actors as dx
from tests.unit.client.scripted import ANSWER, URL, Script, answered, event, problem

STARTED = event(1, "turn.started", turn_id="k", attempt=1)


class AsyncPieces(httpx.AsyncByteStream):
    """A body that breaks off after its pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        raise httpx.ReadError("x")


def client_of(script: Script) -> dx.AsyncClient:
    """An asynchronous client of a scripted server."""

    async def handle(request: httpx.Request) -> httpx.Response:
        return script.handle_request(request)

    async def sleep(seconds: float) -> None:
        script.sleep(seconds)

    transport = httpx.MockTransport(handle)
    return dx.AsyncClient(URL, api_key="k", transport=transport, now=lambda: script.time_s, sleep=sleep)


def test_a_lost_answer_is_asked_for_again_under_the_same_key() -> None:
    """And with less time."""
    script = Script(httpx.ReadError("x"), problem("draining", retry_after="2"), answered())

    async def scenario() -> int:
        async with client_of(script) as client:
            return (await client.session("s").predict(question="why")).turn

    assert asyncio.run(scenario()) == 1
    assert len(set(script.sent("idempotency-key"))) == 1
    assert script.waits[1] == 2.0


def test_a_broken_stream_goes_on_over_another_connection() -> None:
    """Waits included."""
    headers = {"content-type": "text/event-stream"}
    broken = httpx.Response(200, headers=headers, stream=AsyncPieces(STARTED))
    rest = httpx.Response(200, headers=headers, stream=AsyncPieces(event(2, "turn.completed", **ANSWER)))
    script = Script(broken, rest)

    async def scenario() -> list[str]:
        async with client_of(script) as client:
            return [each.name async for each in client.session("s").stream(question="why")]

    assert asyncio.run(scenario()) == ["turn.started", "turn.completed"]
    assert broken.is_closed
    assert len(script.waits) == 1


def test_a_refused_stream_raises() -> None:
    """Before its first event."""

    async def scenario() -> None:
        async with client_of(Script(problem("not_found"))) as client:
            await anext(client.session("s").stream(question="why"))

    with pytest.raises(dx.NotFound):
        asyncio.run(scenario())


def test_a_list_is_fetched_page_by_page() -> None:
    """With the cursor of the page before."""
    pages = [answered({"items": [{"name": "a"}], "next_cursor": "more"}), answered({"items": [], "next_cursor": None})]
    script = Script(*pages)

    async def scenario() -> list[str]:
        async with client_of(script) as client:
            return [program["name"] async for program in client.programs.list()]

    assert asyncio.run(scenario()) == ["a"]
    assert [request.url.params.get("cursor") for request in script.requests] == [None, "more"]
