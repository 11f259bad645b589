"""A few turns of one session, some milliseconds apart: around a move, and without one for comparison."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from benchmarks.latency import percentile
from benchmarks.ours import Ours
from benchmarks.wire import Answer, Connection, Target

TURNS = 6
APART_S = 0.008
_DRIFT_S = 0.1


@dataclass(frozen=True, slots=True)
class Burst:
    """The latencies of its turns in ms, counted from when each was due; how many were not answered with 200."""

    latencies_ms: tuple[float, ...]
    errors: int


@dataclass(frozen=True, slots=True)
class Moved:
    """One session's move: what the server says of the pause, and the bursts without and with the move."""

    pause_ms: float
    still: Burst
    moving: Burst


async def move_each(ours: Ours) -> list[Moved]:
    """Move each session there and back, one after the other."""
    connections = await asyncio.gather(*(Connection.open("127.0.0.1", ours.server.port) for _ in range(TURNS)))
    moves = []
    for place, session in enumerate(ours.sessions):
        for _ in range(2):
            moves.append(await _move(ours, session, ours.only(place, place + 1).target(), connections))
            await asyncio.sleep(_DRIFT_S)
    for connection in connections:
        connection.close()
    return moves


async def _move(ours: Ours, session: str, target: Target, connections: Sequence[Connection]) -> Moved:
    still = await _burst(target, connections, 0)
    move = ours.post(f"/v1/sessions/{session}/migrate")
    moving, answer = await asyncio.gather(_burst(target, connections, TURNS), move)
    if answer.status != 200:
        raise RuntimeError(f"{session} did not move: {answer.body.decode(errors='replace')}")
    return Moved(orjson.loads(answer.body)["pause_ms"], still, moving)


async def _burst(target: Target, connections: Sequence[Connection], first: int) -> Burst:
    begin = time.perf_counter()
    asked = (_ask(target.request(first + n), each, begin + n * APART_S) for n, each in enumerate(connections))
    found = await asyncio.gather(*asked)
    return Burst(tuple(latency * 1e3 for latency, _ in found), sum(answer.status != 200 for _, answer in found))


async def _ask(request: bytes, connection: Connection, due: float) -> tuple[float, Answer]:
    await asyncio.sleep(max(0.0, due - time.perf_counter()))
    answer = await connection.ask(request)
    return time.perf_counter() - due, answer


def figures(values: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the maximum."""
    return {
        "p50": round(percentile(values, 0.50), 1),
        "p99": round(percentile(values, 0.99), 1),
        "max": round(max(values), 1),
    }
