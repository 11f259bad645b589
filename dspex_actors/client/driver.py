"""Does what the generators of this package ask for, in the calling thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
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


class Driver:
    """Sends, waits and streams for one server. Threads may share it.

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
        transport: httpx.BaseTransport | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.origin = origin
        self._timeout_s = calls.checked_timeout(timeout_s)
        self._retry = retry
        self._timing = Timing(now)
        self._sleep = sleep
        self._http = httpx.Client(transport=transport, **wire.options(origin))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def run(self, call: Call[T], timeout_s: float | None = None) -> T:
        """What the call gives. Raises DspexError."""
        steps = exchange(call, self._attempts(call, timeout_s))
        result: Answer | Lost | None = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as done:
                value: T = done.value
                return value
            result = self._send(step) if isinstance(step, Request) else self._sleep(step.seconds)

    def pages(self, path: str, **query: object) -> Iterator[Json]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            page = self.run(calls.page(path, cursor, **query))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def probe(self, call: Call[Any]) -> bool:
        """Whether one attempt gets a good answer."""
        outcome = self._send(self._attempts(call, PROBE_S).request())
        return isinstance(outcome, Answer) and outcome.good

    def stream(self, call: Call[Reply], session: str, timeout_s: float | None = None) -> Generator[Event]:
        """The events of a turn. Raises DspexError. Closing it closes the connection."""
        sending, key = self._attempts(call, timeout_s), call.key or ""
        return self._events(turn_stream(sending, sending.following(calls.watch(session, key)), key))

    def watch(self, call: Call[Any], turn_id: str, timeout_s: float | None = None) -> Generator[Event]:
        """The events of a turn that was sent before; likewise."""
        return self._events(turn_stream(None, self._attempts(call, timeout_s), turn_id))

    def _events(self, steps: TurnStream) -> Generator[Event]:
        result: Result = None
        pieces: Iterator[bytes] = iter(())
        with ExitStack() as held:
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
                        held.close()
                        result, pieces = self._open(held, request)
                    case Read():
                        result = _next(pieces)
                    case Sleep(seconds):
                        held.close()
                        self._sleep(seconds)

    def _attempts(self, call: Call[Any], timeout_s: float | None) -> Attempts:
        time_s = self._timeout_s if timeout_s is None else calls.checked_timeout(timeout_s)
        return Attempts(call, self.origin, self._retry, self._timing, time_s)

    def _send(self, request: Request) -> Answer | Lost:
        try:
            return wire.whole(self._http.request(**wire.outgoing(request, request.read_s)))
        except httpx.TransportError as error:
            return wire.lost(error)

    def _open(self, held: ExitStack, request: Request) -> tuple[Result, Iterator[bytes]]:
        try:
            response = held.enter_context(self._http.stream(**wire.outgoing(request, min(request.read_s, IDLE_S))))
            if wire.is_stream(response):
                return Opened(wire.head(response)), response.iter_bytes()
            response.read()
            return wire.whole(response), iter(())
        except httpx.TransportError as error:
            return wire.lost(error), iter(())


def _next(pieces: Iterator[bytes]) -> bytes | Lost:
    try:
        return next(pieces, b"")
    except httpx.TransportError as error:
        return wire.lost(error)
