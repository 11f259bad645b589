"""Does what the generators of this package ask for, on the running event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import httpx

from dspex_actors.client import calls, wire
from dspex_actors.client.attempts import Attempts, Request, Retry, Timing
from dspex_actors.client.calls import Call
from dspex_actors.client.exchange import Sleep, exchange
from dspex_actors.client.failures import Answer, Lost
from dspex_actors.client.origin import Origin
from dspex_actors.client.reply import Event, Json, Reply
from dspex_actors.client.turn_stream import IDLE_S, Open, Opened, Read, Result, TurnStream, turn_stream

T = TypeVar("T")

PROBE_S = 5.0


class AsyncDriver:
    """Sends, waits and streams for one server. Tasks of one event loop may share it.

    Args:
        origin: The server.
        timeout_s: The seconds that a call has when it does not say.
        retry: How to repeat.
        transport: What httpx sends with; its own when None.
        now: Monotonic seconds.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        origin: Origin,
        timeout_s: float,
        retry: Retry,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.origin = origin
        self._timeout_s = calls.checked_timeout(timeout_s)
        self._retry = retry
        self._timing = Timing(now)
        self._sleep = sleep
        self._http = httpx.AsyncClient(transport=transport, **wire.options(origin))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def run(self, call: Call[T], timeout_s: float | None = None) -> T:
        """What the call gives. Raises DspexError."""
        steps = exchange(call, self._attempts(call, timeout_s))
        result: Answer | Lost | None = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as done:
                value: T = done.value
                return value
            result = await (self._send(step) if isinstance(step, Request) else self._sleep(step.seconds))

    async def pages(self, path: str, **query: object) -> AsyncGenerator[Json]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            page = await self.run(calls.page(path, cursor, **query))
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def probe(self, call: Call[Any]) -> bool:
        """Whether one attempt gets a good answer."""
        outcome = await self._send(self._attempts(call, PROBE_S).request())
        return isinstance(outcome, Answer) and outcome.good

    def stream(self, call: Call[Reply], session: str, timeout_s: float | None = None) -> AsyncGenerator[Event]:
        """The events of a turn. Raises DspexError. Closing it closes the connection."""
        sending, key = self._attempts(call, timeout_s), call.key or ""
        return self._events(turn_stream(sending, sending.following(calls.watch(session, key)), key))

    def watch(self, call: Call[Any], turn_id: str, timeout_s: float | None = None) -> AsyncGenerator[Event]:
        """The events of a turn that was sent before; likewise."""
        return self._events(turn_stream(None, self._attempts(call, timeout_s), turn_id))

    async def _events(self, steps: TurnStream) -> AsyncGenerator[Event]:
        result: Result = None
        pieces: AsyncIterator[bytes] = _nothing()
        async with AsyncExitStack() as held:
            while True:
                try:
                    step = steps.send(result)
                except StopIteration:
                    return
                result = None
                match step:
                    case Event():
                        yield step
                    case Open(request):
                        await held.aclose()
                        result, pieces = await self._open(held, request)
                    case Read():
                        result = await _next(pieces)
                    case Sleep(seconds):
                        await held.aclose()
                        await self._sleep(seconds)

    def _attempts(self, call: Call[Any], timeout_s: float | None) -> Attempts:
        time_s = self._timeout_s if timeout_s is None else calls.checked_timeout(timeout_s)
        return Attempts(call, self.origin, self._retry, self._timing, time_s)

    async def _send(self, request: Request) -> Answer | Lost:
        try:
            return wire.whole(await self._http.request(**wire.outgoing(request, request.read_s)))
        except httpx.TransportError as error:
            return wire.lost(error)

    async def _open(self, held: AsyncExitStack, request: Request) -> tuple[Result, AsyncIterator[bytes]]:
        try:
            outgoing = wire.outgoing(request, min(request.read_s, IDLE_S))
            response = await held.enter_async_context(self._http.stream(**outgoing))
            if wire.is_stream(response):
                return Opened(wire.head(response)), response.aiter_bytes()
            await response.aread()
            return wire.whole(response), _nothing()
        except httpx.TransportError as error:
            return wire.lost(error), _nothing()


async def _next(pieces: AsyncIterator[bytes]) -> bytes | Lost:
    try:
        return await anext(pieces, b"")
    except httpx.TransportError as error:
        return wire.lost(error)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
