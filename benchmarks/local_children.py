"""Children that are objects of this process: how long starting, stopping and restarting them takes."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import shutil
import subprocess
import time
import tracemalloc
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from benchmarks.latency import percentile
from benchmarks.server import ROOT
from supervisors import Child, ChildSpec, Supervisor
from supervisors.errors import ChildCrashed
from supervisors.local_ref import local_ref

STRIDE = 7919  # prime: crashes visit the siblings in no order of theirs
BEAM = """
{ok, Module, Binary} = compile:file("benchmarks/peers/beam.erl", [binary]),
{module, Module} = code:load_binary(Module, "beam", Binary),
beam:main(%d, %d).
"""


class Worker:
    """What is supervised."""

    def ping(self) -> int:
        """It answers."""
        return os.getpid()

    def boom(self) -> None:
        """It crashes."""
        raise ValueError("boom")


@dataclass(frozen=True, slots=True)
class Figures:
    """One round."""

    start_s: float
    stop_s: float
    first_start_us: float
    last_start_us: float
    restart_p50_us: float
    restart_p99_us: float

    def as_json(self) -> dict[str, Any]:
        """Rounded for a report."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


async def start_and_stop(children: int) -> dict[str, float]:
    """Of so many children on demand; the first and the last tenth show whether their number matters."""
    sup = await _on_demand()
    marks = [time.perf_counter()]
    for _ in range(10):
        for _ in range(children // 10):
            await sup.start_child()
        marks.append(time.perf_counter())
    tenths = [(after - before) * 1e6 / (children // 10) for before, after in itertools.pairwise(marks)]
    began = time.perf_counter()
    await sup.stop()
    return {
        "start_s": marks[-1] - marks[0],
        "stop_s": time.perf_counter() - began,
        "first_start_us": tenths[0],
        "last_start_us": tenths[-1],
    }


async def memory_per_child(children: int) -> float:
    """Bytes: the object, and what its supervisor knows of it."""
    sup = await _on_demand()
    gc.collect()
    tracemalloc.start()
    for _ in range(children):
        await sup.start_child()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await sup.stop()
    return grown / children


async def _on_demand() -> Supervisor:
    template = ChildSpec("a", start=Worker)
    return await Supervisor.start(strategy="simple_one_for_one", children=[template], backend="local")


async def restarts(siblings: int, crashes: int) -> list[float]:
    """From the call that makes a child crash until the next one has answered, in microseconds."""
    children = [ChildSpec(f"a{number}", start=Worker) for number in range(siblings)]
    sup = await Supervisor.start(children=children, backend="local", max_restarts=10**9, max_seconds=1e-3)
    for number in range(crashes // 10):
        await _crash(sup, f"a{number * STRIDE % siblings}")
    times = [await _crash(sup, f"a{number * STRIDE % siblings}") for number in range(crashes)]
    await sup.stop()
    return times


async def _crash(sup: Supervisor, id_: str) -> float:
    old = (await sup.which_child(id_)).child
    assert isinstance(old, Child)
    ref = local_ref(old)
    began = time.perf_counter()
    try:
        await ref.call("boom")
    except ChildCrashed:
        new = await _heir(sup, old)
    await local_ref(new).call("ping")
    return (time.perf_counter() - began) * 1e6


async def _heir(sup: Supervisor, old: Child) -> Child:
    while True:
        new = (await sup.which_child(old.id)).child
        if isinstance(new, Child) and new.name != old.name:
            return new
        await asyncio.sleep(0)


def measure(children: int, crashes: int) -> Figures:
    """One round."""
    of_starts = asyncio.run(start_and_stop(children))
    gc.collect()  # what the round before left is not this one's
    times = asyncio.run(restarts(children, crashes))
    gc.collect()
    return Figures(**of_starts, restart_p50_us=percentile(times, 0.50), restart_p99_us=percentile(times, 0.99))


def measure_beam(children: int, crashes: int) -> dict[str, Any] | None:
    """OTP's own supervisor doing the same; None if `erl` is not installed."""
    erl = shutil.which("erl")
    if erl is None:
        return None
    command = [erl, "-noshell", "-eval", BEAM % (children, crashes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    figures: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return figures
