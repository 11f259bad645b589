"""The load generator: a closed loop (as fast as the server answers) and an open one (paced, whatever it does)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import orjson
import uvloop

from benchmarks.wire import Answer, Connection, Target

MAX_REQUESTS = 1_000_000
MAX_CONNECTIONS = 2048
_RECONNECT_PAUSE_S = 0.05
T = TypeVar("T")


class Record(NamedTuple):
    """One request: `time.perf_counter()` when it was due, sent and answered; its status (0: no answer), its body."""

    scheduled: float
    sent: float
    done: float
    status: int
    body: bytes

    @property
    def latency_s(self) -> float:
        """From the time when it was due: an open loop does not forgive a late start."""
        return self.done - self.scheduled

    def json(self) -> dict[str, Any]:
        """The body, or nothing when it is not a JSON object."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Run:
    """What one loop measured between `start` and `end`; `cpu_s` is what the generator itself used, warm-up included."""

    records: list[Record]
    warmup: list[Record]
    start: float
    end: float
    cpu_s: float

    @property
    def cpu_us_per_request(self) -> float:
        """The generator's own cost: it is taken from the server, which shares the cores."""
        return self.cpu_s / max(1, len(self.records) + len(self.warmup)) * 1e6


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a fresh uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


class _Log:
    """Records as they come, the numbering of requests, and the bounds."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._records: list[Record] = []
        self._numbers = itertools.count()
        self._cpu = time.process_time()

    def next_request(self) -> bytes | None:
        number = next(self._numbers)
        return self.target.request(number) if number < MAX_REQUESTS else None

    def add(self, scheduled: float, sent: float, answer: Answer) -> None:
        self._records.append(Record(scheduled, sent, time.perf_counter(), answer.status, answer.body))

    def run(self, start: float, end: float) -> Run:
        cpu_s = time.process_time() - self._cpu
        measured = [record for record in self._records if record.scheduled >= start]
        return Run(measured, [record for record in self._records if record.scheduled < start], start, end, cpu_s)


async def closed_loop(
    target: Target,
    *,
    connections: int,
    seconds: float,
    warmup_s: float = 1.0,
    answer_within_s: float = 30.0,
) -> Run:
    """Keep `connections` requests on their way for `seconds`, after a warm-up whose records are kept apart.

    Requests that are on their way at the end are waited for, at most `answer_within_s`; what is unanswered then is
    recorded with status 0. At most 1,000,000 requests are sent.
    """
    log = _Log(target)
    start = time.perf_counter() + warmup_s
    workers = [asyncio.ensure_future(_keep_busy(log, start + seconds)) for _ in range(connections)]
    _, late = await asyncio.wait(workers, timeout=warmup_s + seconds + answer_within_s)
    await _cancel(late)
    for worker in workers:
        if not worker.cancelled():
            worker.result()
    return log.run(start, start + seconds)


async def _keep_busy(log: _Log, end: float) -> None:
    connection: Connection | None = None
    try:
        while (sent := time.perf_counter()) < end and (request := log.next_request()) is not None:
            try:
                if connection is None or not connection.alive:
                    connection = await Connection.open(log.target.host, log.target.port)
                log.add(sent, sent, await connection.ask(request))
            except OSError as error:
                log.add(sent, sent, Answer(0, repr(error).encode(), False))
                await asyncio.sleep(_RECONNECT_PAUSE_S)
            except asyncio.CancelledError:
                log.add(sent, sent, Answer(0, b"no answer in time", False))
                raise
    finally:
        if connection is not None:
            connection.close()


async def open_loop(
    target: Target,
    *,
    rate: float,
    seconds: float,
    until: asyncio.Event | None = None,
    warmup_s: float = 1.0,
    connections: int = 64,
    answer_within_s: float = 60.0,
) -> Run:
    """Send `rate` requests a second at fixed times, for `seconds` or until `until` is set, whatever the server does.

    Latency counts from the time when a request was due. Connections are opened ahead and more are made while none is
    free, up to 2,048.
    """
    log = _Log(target)
    pool = _Pool(target)
    await pool.fill(connections)
    begin = time.perf_counter()
    tasks: set[asyncio.Task[None]] = set()
    for number in range(int(rate * (warmup_s + seconds))):
        due = begin + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        request = log.next_request()
        if request is None or (until is not None and until.is_set()):
            break
        task = asyncio.ensure_future(_send_one(log, pool, request, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    end = time.perf_counter()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=answer_within_s)
        await _cancel(late)
    pool.close()
    return log.run(begin + warmup_s, end)


async def _send_one(log: _Log, pool: _Pool, request: bytes, due: float) -> None:
    sent = time.perf_counter()
    try:
        answer = await pool.ask(request)
    except OSError as error:
        answer = Answer(0, repr(error).encode(), False)
    except asyncio.CancelledError:
        log.add(due, sent, Answer(0, b"no answer in time", False))
        raise
    log.add(due, sent, answer)


class _Pool:
    """Connections that are free, the most recently used first."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._free: list[Connection] = []
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)

    async def fill(self, count: int) -> None:
        opened = [Connection.open(self._target.host, self._target.port) for _ in range(count)]
        self._free += await asyncio.gather(*opened)

    async def ask(self, request: bytes) -> Answer:
        async with self._slots:
            connection = await self._take()
            try:
                answer = await connection.ask(request)
            except asyncio.CancelledError:
                connection.close()
                raise
            if connection.alive:
                self._free.append(connection)
            return answer

    async def _take(self) -> Connection:
        while self._free:
            connection = self._free.pop()
            if connection.alive:
                return connection
        return await Connection.open(self._target.host, self._target.port)

    def close(self) -> None:
        for connection in self._free:
            connection.close()


async def _cancel(tasks: set[asyncio.Future[None]] | set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
