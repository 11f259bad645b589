"""A turn as Server-Sent Events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import orjson

from dspex_actors.api.asgi import REPLAYED, SAFETY
from dspex_actors.api.call import Call
from dspex_actors.api.disconnect import ClientWatch
from dspex_actors.api.problems import problem_of
from dspex_actors.errors import DspexError, Internal
from dspex_actors.resources.turn import TurnEvent, TurnRequest

log = logging.getLogger("dspex_actors.api")

TERMINAL = frozenset({"turn.completed", "turn.failed"})
EVENTS = b"text/event-stream; charset=utf-8"
COMMENT = b": keep-alive\n\n"


def encode(event: TurnEvent) -> bytes:
    """The event's lines, each line of its data a `data:` line of its own."""
    data = b"\ndata: ".join(event.data.splitlines()) if b"\n" in event.data or b"\r" in event.data else event.data
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event.id.encode(), event.name.encode(), data)


async def stream_turn(call: Call, session_id: str, turn: TurnRequest) -> None:
    """Run a turn and send its events."""
    await send_events(call, call.runtime.stream(call.tenant, session_id, turn), turn.last_event)


async def send_events(call: Call, events: AsyncGenerator[TurnEvent], last: tuple[int, int]) -> None:
    """Send a turn's events until its terminal one, or until the client goes away; then nothing of them remains.

    What is wrong before anything was sent is raised, so that it becomes an ordinary problem. A turn that waits longer
    than the time between two comments is answered 200 and a comment first; what is wrong later is its terminal event.
    `last` is attempt and number of the last event that the client has.
    """
    stream = _Stream(call)
    with ClientWatch(call.receive):
        async with aclosing(events):
            comments = asyncio.create_task(stream.keep_open(call.surface.keep_alive_s))
            try:
                await _relay(stream, events, call.request_id, TurnEvent(f"{last[0]}.{last[1]}", "", b""))
            finally:
                comments.cancel()
            await call.send({"type": "http.response.body", "body": b""})


class _Stream:
    """The response: its head goes out with whatever is sent first."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._opening = asyncio.Lock()

    @property
    def opened(self) -> bool:
        """Whether the client has the status already."""
        return self._call.answered

    async def emit(self, body: bytes, *, replayed: bool = False) -> None:
        """Send some lines."""
        async with self._opening:
            if not self._call.answered:
                await self._open(replayed)
        await self._call.send({"type": "http.response.body", "body": body, "more_body": True})

    async def keep_open(self, every_s: float) -> None:
        """Send a comment now and then, for ever."""
        while True:
            await asyncio.sleep(every_s)
            await self.emit(COMMENT)

    async def _open(self, replayed: bool) -> None:
        headers = [
            (b"content-type", EVENTS),
            (b"x-request-id", self._call.request_id.encode()),
            (b"x-accel-buffering", b"no"),
            *SAFETY,
            *(REPLAYED if replayed else ()),
        ]
        self._call.answered = True
        await self._call.send({"type": "http.response.start", "status": 200, "headers": headers})


async def _relay(stream: _Stream, events: AsyncGenerator[TurnEvent], request_id: str, last: TurnEvent) -> None:
    """Send the events after `last`; whatever happens below, the last event that is sent is a terminal one."""
    error: DspexError = Internal("The stream broke. Ask for the turn's outcome with its key.")
    try:
        async for event in events:
            last = event
            await stream.emit(encode(_stamped(event, request_id)), replayed=event.replayed)
    except DspexError as raised:
        error = raised
    except Exception:
        log.exception("stream of request %s broke", request_id)
    if not stream.opened:
        raise error
    if last.name not in TERMINAL:
        await stream.emit(encode(failure(last, error, request_id)))


def _stamped(event: TurnEvent, request_id: str) -> TurnEvent:
    """A problem names the request that it answers, also as an event."""
    if event.name != "turn.failed":
        return event
    return replace(event, data=orjson.dumps({**orjson.loads(event.data), "request_id": request_id}))


def failure(last: TurnEvent, error: DspexError, request_id: str) -> TurnEvent:
    """The terminal event of a turn that failed after `last`, numbered after it."""
    attempt, _, number = last.id.partition(".")
    return TurnEvent(f"{attempt}.{int(number) + 1}", "turn.failed", orjson.dumps(problem_of(error, request_id)))
