"""Where the time goes: py-spy samples of our host and API replica under load, summed up by function."""

from __future__ import annotations

import asyncio
import collections
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil

from benchmarks.load import closed_loop
from benchmarks.ours import Ours

_CONNECTIONS = 64
_SECONDS = 6
Row = tuple[str, float, float]


async def profile(ours: Ours, top: int = 20) -> dict[str, list[Row]]:
    """The `top` functions by their own share (0 to 1) of the time that the GIL was held, by process: title -> rows.

    Empty for a process that py-spy may not attach to (it needs the right to trace).
    """
    victims = {f"{node['kind']} {node['pid']}": node["pid"] for node in await ours.nodes() if node["kind"] == "host"}
    victims |= {f"replica {process.pid}": process.pid for process in ours.server.processes() if _is_replica(process)}
    load = asyncio.ensure_future(closed_loop(ours.target(), connections=_CONNECTIONS, seconds=_SECONDS + 2))
    samples = await asyncio.gather(*(_sample(pid, ours.server.folder) for pid in victims.values()))
    await load
    return {title: shares(lines, top) for title, lines in zip(victims, samples, strict=True)}


def shares(lines: Iterable[str], top: int) -> list[Row]:
    """Functions of collapsed stacks (`a;b;c 12`) as (name, own share, share with callees), the biggest own first."""
    own: collections.Counter[str] = collections.Counter()
    whole: collections.Counter[str] = collections.Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        whole.update(dict.fromkeys(frames, int(count)))
    total = own.total()
    return [(name, count / total, whole[name] / total) for name, count in own.most_common(top)]


async def _sample(pid: int, folder: Path) -> list[str]:
    output = folder / f"stacks-{pid}.txt"
    py_spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or "py-spy"
    arguments = [
        "record",
        "-p",
        str(pid),
        "-d",
        str(_SECONDS),
        "-r",
        "200",
        "-f",
        "raw",
        "-F",
        "--gil",
        "-o",
        str(output),
    ]
    process = await asyncio.create_subprocess_exec(
        py_spy, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    await process.wait()
    return output.read_text().splitlines() if output.exists() else []


def _is_replica(process: psutil.Process) -> bool:
    try:
        return bool(process.cmdline()) and process.cmdline()[0].startswith("ray::ServeReplica")
    except psutil.Error:
        return False
