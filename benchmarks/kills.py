"""Paced load with a SIGKILL now and then."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import psutil

from benchmarks import report
from benchmarks.load import Run, open_loop
from benchmarks.server import Server
from benchmarks.victims import Contestant

READY_WITHIN_S = 60.0
_POLL_S = 0.25
_SETTLED_S = 0.25


class NoVictimError(RuntimeError):
    """Nobody could be killed in time; the sentence says whom it waited for."""


async def load_and_kill(contestant: Contestant, *, rate: float, kills: int, gap_s: float) -> tuple[Run, list[float]]:
    """Paced load, a kill every `gap_s` at the earliest; the run and when the kills were."""
    stop = asyncio.Event()
    longest = gap_s + kills * (gap_s + READY_WITHIN_S)
    load = asyncio.ensure_future(open_loop(contestant.target, rate=rate, seconds=longest, until=stop))
    killed: list[float] = []
    try:
        await asyncio.sleep(1 + gap_s)
        for _ in range(kills):
            killed.append(_kill(contestant.server, await _wait_victim(contestant)))
            report.say(f"{contestant.server.name}: kill {len(killed)} of {kills}")
            await asyncio.sleep(gap_s)
        await _wait_victim(contestant)
    finally:
        stop.set()
        result = await load
    return result, killed


async def _wait_victim(contestant: Contestant) -> int:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        asked = time.monotonic()
        pid = await contestant.victim()
        # A late answer means that the backlog of the last outage is still being worked off.
        if pid is not None and time.monotonic() - asked < _SETTLED_S:
            return pid
        await asyncio.sleep(_POLL_S)
    raise NoVictimError(
        f"{contestant.server.name} was not ready within {READY_WITHIN_S:.0f} s: nobody serves, or no standby is ready."
    )


def _kill(server: Server, pid: int) -> float:
    if not server.owns(psutil.Process(pid)):
        raise NoVictimError(f"Process {pid} was not started by this benchmark: it is left alone.")
    at = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    return at
