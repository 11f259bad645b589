"""Paced clients that write down what they were told: each sends keyed turns at fixed times, whatever the server does.

A client repeats what failed in passing with the same key, as any careful one does. Some turns are sent twice at once,
and of some the client goes away before the answer: their outcome stays unknown.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from benchmarks.chaos_log import Answer, Operation, Outcome

PATIENCE_S = 75.0
"""How long a client repeats a turn: longer than the server's own deadline for one, which is 60 s."""
_ATTEMPT_S = 30.0
_WAITS_S = (0.02, 1.0)
_RETRYABLE = (502, 503, 504)
_CALM_S = 0.5
_GONE = "went_away"
_TWINS, _LEAVERS, _HOT_SHARE = 0.04, 0.04, 0.25
_HOT = 5
_PAUSES_S = (*(0.0,) * 10, *(0.02,) * 10, 0.2)


@dataclass(frozen=True, slots=True)
class Load:
    """Who is loaded and how: `rate` turns a second over all clients together."""

    url: str
    key: str
    sessions: Sequence[str]
    rate: float
    clients: int
    seed: int


class Clients:
    """All clients of a run, and what they wrote down so far."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._stop = asyncio.Event()
        self._open: dict[asyncio.Task[None], float] = {}
        self.logs: list[list[Operation]] = [[] for _ in range(load.clients)]

    def stop(self) -> None:
        """Send nothing new."""
        self._stop.set()

    def is_calm(self) -> bool:
        """Whether the backlog of the last fault is worked off: nothing has been on its way for long."""
        return time.perf_counter() - min(self._open.values(), default=math.inf) < _CALM_S

    async def run(self) -> None:
        """Send until `stop`, then wait for what is on its way."""
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(self._client(number)) for number in range(self._load.clients)]
            await asyncio.gather(*(client.run(self._stop) for client in clients))

    def _client(self, number: int) -> _Client:
        return _Client(self._load, number, self.logs[number], self._open)


class _Client:
    """One client with connections, keys and dice of its own."""

    def __init__(self, load: Load, number: int, log: list[Operation], opened: dict[asyncio.Task[None], float]) -> None:
        self._load, self._number, self._log, self._open = load, number, log, opened
        self._dice = random.Random(f"{load.seed}/{number}")
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> _Client:
        headers = {"Authorization": f"Bearer {self._load.key}"}
        connector = aiohttp.TCPConnector(limit=0)
        self._http = aiohttp.ClientSession(self._load.url, headers=headers, connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Turns at fixed times until told to stop; then what is on its way is waited for."""
        period, tasks = self._load.clients / self._load.rate, set[asyncio.Task[None]]()
        due = time.perf_counter() + period * self._dice.random()
        while not stop.is_set():
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            for sending in self._next(due):
                tasks.add(self._begin(sending))
            tasks = {task for task in tasks if not task.done()}
            due += period
        await asyncio.gather(*tasks)

    def _begin(self, sending: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(sending)
        self._open[task] = time.perf_counter()
        task.add_done_callback(lambda ended: self._open.pop(ended, None))
        return task

    def _next(self, due: float) -> list[Coroutine[Any, Any, None]]:
        """What is sent now: a turn, a turn twice, or one whose answer nobody waits for."""
        dice, sessions = self._dice, self._load.sessions
        session = dice.choice(sessions[:_HOT] if dice.random() < _HOT_SHARE else sessions)
        key = f"c{self._number}-{dice.getrandbits(64):016x}"
        pause_s, sent = dice.choice(_PAUSES_S), time.perf_counter()
        begun = Operation(self._number, session, key, due, sent, None, Outcome.UNKNOWN, pause_s=pause_s)
        body = {"inputs": {"key": key, "pause_s": pause_s}}
        kind = dice.random()
        if kind < _LEAVERS:
            return [self._leave(begun, body, dice.uniform(0.0, 0.1))]
        copies = 2 if kind < _LEAVERS + _TWINS else 1
        return [self._insist(begun, body) for _ in range(copies)]

    async def _leave(self, begun: Operation, body: Any, after_s: float) -> None:
        try:
            async with asyncio.timeout(after_s):
                status, answer, _ = await self._try(begun, body)
        except (TimeoutError, aiohttp.ClientError, OSError):
            status, answer = 0, None
        ended = _ended(begun, answer) if status == 200 else begun
        self._log.append(replace(ended, wanted=False, errors=() if status == 200 else (_GONE,)))

    async def _insist(self, begun: Operation, body: Any) -> None:
        """Try until it is done, definitely refused, or the client's patience ends."""
        errors: list[str] = []
        unknown, wait_s = False, _WAITS_S[0]
        while True:
            status, answer, retry_s = await self._try_once(begun, body)
            if status == 200:
                self._log.append(replace(_ended(begun, answer), errors=tuple(errors)))
                return
            code = _code(status, answer)
            errors.append(code)
            unknown = unknown or status == 0 or "code" not in (answer or {}) or code == "outcome_unknown"
            if (status and status not in _RETRYABLE) or time.perf_counter() - begun.sent > PATIENCE_S:
                break
            await asyncio.sleep(max(retry_s, wait_s * self._dice.uniform(0.5, 1.0)))
            wait_s = min(2 * wait_s, _WAITS_S[1])
        outcome = Outcome.UNKNOWN if unknown else Outcome.NOT_DONE
        self._log.append(replace(begun, done=time.perf_counter(), outcome=outcome, errors=tuple(errors)))

    async def _try_once(self, begun: Operation, body: Any) -> tuple[int, Any, float]:
        try:
            async with asyncio.timeout(_ATTEMPT_S):
                return await self._try(begun, body)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return 0, {"lost": type(error).__name__}, 0.0

    async def _try(self, begun: Operation, body: Any) -> tuple[int, Any, float]:
        path, headers = f"/v1/sessions/{begun.session}/predict", {"Idempotency-Key": begun.key}
        async with self._http.post(path, json=body, headers=headers) as answer:
            raw = await answer.read()
            return answer.status, _json(raw), float(answer.headers.get("Retry-After", 0))


def _ended(begun: Operation, found: dict[str, Any]) -> Operation:
    outputs = found["outputs"]
    after = tuple(outputs["after"])
    answer = Answer(found["turn"], outputs["number"], outputs["digest"], after, outputs["process"])
    return replace(begun, done=time.perf_counter(), outcome=Outcome.DONE, answer=answer)


def _code(status: int, answer: Any) -> str:
    """What a person calls it: the problem's code, how the connection was lost, or the front's bare status."""
    found = answer or {}
    return str(found.get("code") or found.get("lost") or f"front_{status}")


def _json(raw: bytes) -> Any:
    try:
        value = json.loads(raw)
    except ValueError:
        return None  # the front's own answers are plain text
    return value if isinstance(value, dict) else None
