"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from dspex_actors.client import calls, wire
from dspex_actors.client.attempts import Attempts, Request, Retry, Timing
from dspex_actors.client.calls import Call
from dspex_actors.client.exchange import Sleep, exchange
from dspex_actors.client.failures import Answer, Lost, Unreachable
from dspex_actors.client.origin import origin
from dspex_actors.client.reply import Event, Json, Reply
from dspex_actors.client.turn_stream import IDLE_S, Open, Opened, Read, Result, TurnStream, turn_stream
from dspex_actors.errors import AlreadyExists, DspexError

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 60.0
PROBE_S = 5.0


class Client:
    """A running server, in Python. Threads may share it; close it, or use it as a context manager.

    Every POST carries an `Idempotency-Key` and is repeated under the same key while that can help (see `Retry`).

    Args:
        base_url: The server's address; from `DSPEX_HOST` and `DSPEX_PORT` when not given.
        api_key: A key; else from `DSPEX_API_KEY`, or for a server of this machine from the file `api-key` in
            `DSPEX_HOME`.
        timeout_s: The seconds that a call has, all its attempts included.
        retry: How to repeat.
        transport: What httpx sends with; for tests.
        now: Monotonic seconds; for tests.
        sleep: Waits for seconds; for tests.

    Raises:
        InvalidRequest: The address, the key or the timeout cannot be one.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: Retry | None = None,
        transport: httpx.BaseTransport | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._origin = origin(base_url, api_key)
        self._timeout_s = calls.checked_timeout(timeout_s)
        self._retry = retry or Retry()
        self._timing = Timing(now)
        self._sleep = sleep
        self._http = httpx.Client(transport=transport, **wire.options(self._origin))
        self.programs = Programs(self)
        self.sessions = Sessions(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._origin.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._origin.url

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def session(self, id: str) -> Session:  # noqa: A002 - what the API calls it
        """A handle of the session; asks nothing, so the session need not exist yet."""
        return Session(self, id)

    def open(self, program: str, id: str | None = None, lm: str | None = None) -> Session:  # noqa: A002
        """The session of that id, made when there is none (with a fresh id where none is given).

        Raises:
            NotFound: No such program.
            AlreadyExists: The id belongs to a session of another program.
        """
        try:
            made = self.sessions.create(program, id, lm)
        except AlreadyExists:
            if id is None or self.sessions.get(id)["program"] != program.partition("@")[0]:
                raise
            return Session(self, id)
        return Session(self, made["id"])

    def tree(self) -> Json:
        """The supervision tree."""
        return self._run(calls.fetch("/v1/tree"))

    def info(self) -> Json:
        """Version, model, and whether the mock engine answers."""
        return self._run(calls.fetch("/info"))

    def ready(self) -> bool:
        """Whether a server answers and every part of it can serve; asked once, without repeating."""
        attempts = self._attempts(calls.READY, PROBE_S)
        outcome = self._send(attempts.request())
        return isinstance(outcome, Answer) and outcome.good

    def _run(self, call: Call[T], timeout_s: float | None = None) -> T:
        steps = exchange(call, self._attempts(call, timeout_s))
        result: Answer | Lost | None = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as done:
                value: T = done.value
                return value
            result = self._send(step) if isinstance(step, Request) else self._sleep(step.seconds)

    def _pages(self, path: str, **query: object) -> Iterator[Json]:
        cursor: str | None = None
        while True:
            page = self._run(calls.page(path, cursor, **query))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _attempts(self, call: Call[Any], timeout_s: float | None) -> Attempts:
        time_s = self._timeout_s if timeout_s is None else calls.checked_timeout(timeout_s)
        return Attempts(call, self._origin, self._retry, self._timing, time_s)

    def _send(self, request: Request) -> Answer | Lost:
        try:
            return wire.whole(self._http.request(**wire.outgoing(request, request.read_s)))
        except httpx.TransportError as error:
            return wire.lost(error)

    def _stream(self, steps: TurnStream) -> Generator[Event]:
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
                    case Request():
                        result = self._send(step)

    def _open(self, held: ExitStack, request: Request) -> tuple[Result, Iterator[bytes]]:
        outgoing = wire.outgoing(request, min(request.read_s, IDLE_S))
        try:
            response = held.enter_context(self._http.stream(**outgoing))
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
