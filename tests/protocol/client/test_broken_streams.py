"""Streams over real connections that break."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

import dspex_actors as dx
from dspex_actors.client.client import Client
from dspex_actors.client.reply import Event
from tests.support.serving import Served

SLOW = "mock?latency_s=0.5"


class Fragile(httpx.HTTPTransport):
    """Every streamed answer breaks off after so many pieces; the last of these numbers counts for all that follow."""

    def __init__(self, *pieces: int) -> None:
        super().__init__()
        self.pieces = list(pieces)
        self.asked: list[tuple[str, str | None]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The real answer, for a while."""
        answer = super().handle_request(request)
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            self.asked.append((request.method, request.headers.get("last-event-id")))
            assert isinstance(answer.stream, httpx.SyncByteStream)
            answer.stream = _Breaking(answer.stream, self.pieces.pop(0) if len(self.pieces) > 1 else self.pieces[0])
        return answer


class _Breaking(httpx.SyncByteStream):
    def __init__(self, whole: httpx.SyncByteStream, pieces: int) -> None:
        self.whole, self.pieces = whole, pieces

    def __iter__(self) -> Iterator[bytes]:
        for number, piece in enumerate(self.whole):
            if number == self.pieces:
                raise httpx.ReadError("cut")
            yield piece

    def close(self) -> None:
        """Close what is behind it."""
        self.whole.close()


def text(events: list[Event]) -> str:
    """What the tokens say."""
    return "".join(event.data["delta"] for event in events if event.name == "token")


@pytest.mark.parametrize("pieces", [(3,), (1, 4), (2, 1, 1, 3)])
def test_a_stream_over_connections_that_break_is_whole(server: Served, pieces: tuple[int, ...]) -> None:
    """Each token once, in order, and one end; the turn is sent once."""
    transport = Fragile(*pieces)
    with Client(server.url, api_key=server.key, transport=transport) as client:
        events = list(client.open("qa", lm=SLOW).stream(question="word by word"))
    ids = [tuple(map(int, event.id.split("."))) for event in events]
    assert ids == sorted(set(ids))
    assert [event.name for event in events if event.name != "token"] == ["turn.started", "turn.completed"]
    assert events[-1].reply is not None
    assert events[-1].reply.outputs.answer.startswith(text(events))
    assert [method for method, _ in transport.asked].count("POST") == 1
    assert len(transport.asked) > 1


def test_a_stream_is_resumed_by_another_client(server: Served) -> None:
    """While it runs the rest, afterwards the answer alone; one that nobody sent is not found."""

    async def scenario() -> None:
        async with dx.AsyncClient(server.url, api_key=server.key) as client:
            session = await client.open("qa", lm=SLOW)
            events = session.stream(question="word by word", idempotency_key="k")
            first = [await anext(events) for _ in range(3)]
            await events.aclose()
            rest = [event async for event in session.resume("k", first[-1].id)]
            assert rest[-1].reply is not None
            assert text([*first, *rest]) == rest[-1].reply.outputs.answer
            assert [event.name async for event in session.resume("k")] == ["turn.completed"]
            with pytest.raises(dx.NotFound):
                await anext(session.resume("never-sent"))

    asyncio.run(scenario())


def test_a_stream_of_a_failed_turn_is_resumed_to_its_failure(server: Served) -> None:
    """As it was recorded; it does not run again."""
    with Client(server.url, api_key=server.key) as client:
        session = client.open("fails")
        list(session.stream(question="why", idempotency_key="k"))
        (end,) = session.resume("k")
        assert (end.name, type(end.error)) == ("turn.failed", dx.LMFailed)
        assert session.turn_by_id("k")["attempts"] == 1
