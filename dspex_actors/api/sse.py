"""A turn as Server-Sent Events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import orjson

from dspex_actors.api.asgi import REPLAYED, SAFETY, Send
from dspex_actors.api.call import Call
from dspex_actors.api.disconnect import ClientWatch
from dspex_actors.api.problems import problem_of
from dspex_actors.errors import DspexError, Internal
from dspex_actors.resources.turn import TurnEvent, TurnRequest

log = logging.getLogger("dspex_actors.api")

TERMINAL = frozenset({"turn.completed", "turn.failed"})
COMMENT = b": keep-alive\n\n"


def encode(event: TurnEvent) -> bytes:
    """The event's lines, each line of its data a `data:` line of its own."""
    data = b"\ndata: ".join(event.data.splitlines()) if b"\n" in event.data or b"\r" in event.data else event.data
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event.id.encode(), event.name.encode(), data)


async def stream_turn(call: Call, session_id: str, turn: TurnRequest) -> None:
    """Send the turn's events until its terminal one, or until the client goes away; then nothing of them remains.

    What is wrong before the first event is raised, so that it becomes an ordinary problem.
    """
    events = call.runtime.stream(call.tenant, session_id, turn)
    with ClientWatch(call.receive):
        async with aclosing(events):
            first = await anext(events, None)
            if first is None:
                raise Internal("The turn gave no events. Ask for its outcome with its key.")
            await _open(call, first)
            comments = asyncio.create_task(_keep_alive(call.send, call.surface.keep_alive_s))
            try:
                await _relay(call, first, events)
            finally:
                comments.cancel()
            await call.send({"type": "http.response.body", "body": b""})


async def _open(call: Call, first: TurnEvent) -> None:
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"x-request-id", call.request_id.encode()),
        (b"x-accel-buffering", b"no"),
        *SAFETY,
        *(REPLAYED if first.replayed else ()),
    ]
    call.answered = True
    await call.send({"type": "http.response.start", "status": 200, "headers": headers})


async def _relay(call: Call, last: TurnEvent, events: AsyncGenerator[TurnEvent, None]) -> None:
    """Send the first event and the rest; whatever happens below, the last event that is sent is a terminal one."""
    await _emit(call.send, encode(_stamped(last, call.request_id)))
    error: DspexError = Internal("The stream broke. Ask for the turn's outcome with its key.")
    try:
        async for event in events:
            last = event
            await _emit(call.send, encode(_stamped(event, call.request_id)))
    except DspexError as raised:
        error = raised
    except Exception:
        log.exception("stream of request %s broke", call.request_id)
    if last.name not in TERMINAL:
        await _emit(call.send, encode(failure(last, error, call.request_id)))


def _stamped(event: TurnEvent, request_id: str) -> TurnEvent:
    """A problem names the request that it answers, also as an event."""
    if event.name != "turn.failed":
        return event
    return replace(event, data=orjson.dumps({**orjson.loads(event.data), "request_id": request_id}))


def failure(last: TurnEvent, error: DspexError, request_id: str) -> TurnEvent:
    """The terminal event of a turn that failed after `last`, numbered after it."""
    attempt, _, number = last.id.partition(".")
    return TurnEvent(f"{attempt}.{int(number) + 1}", "turn.failed", orjson.dumps(problem_of(error, request_id)))


async def _emit(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _keep_alive(send: Send, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await _emit(send, COMMENT)
