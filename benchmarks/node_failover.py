"""What clients feel when one of three nodes is killed or frozen, with placement or without, or the control store is."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.node_faults import FaultyNodes, Stage, faulty_nodes, stage
from benchmarks.node_figures import Figures

AWAY_S = 5.0
FAULTS = ("node-killed", "node-frozen", "placement-node-killed", "placement-node-frozen", "control-store-killed")
Fault = Callable[[], Awaitable[str | None]]


async def victim(on: Stage, nodes: FaultyNodes, *, placement: bool) -> str:
    """The node of placement, or one that serves sessions without it; not the head."""
    leader = await on.wait_whole()
    if placement and leader["node"] == nodes.head:  # it goes where the other one stands by
        os.kill(leader["pid"], signal.SIGKILL)
        leader = await on.wait_whole()
    if placement:
        return str(leader["node"])
    return on.victim(leader["node"])


async def measure(kind: str, on: Stage, nodes: FaultyNodes) -> Figures:
    """One fault under load, and everything whole again afterwards."""
    if kind == "control-store-killed":

        async def away() -> None:
            nodes.kill_control_store()
            await asyncio.sleep(AWAY_S)
            await asyncio.to_thread(nodes.start_control_store)

        felt = await on.suffer(away)
        await on.wait_whole()
        return felt
    node, hit = await victim(on, nodes, placement="placement" in kind), list[psutil.Process]()

    async def lose() -> str:
        hit.extend(nodes.freeze(node) if "frozen" in kind else nodes.kill(node))
        return node

    felt = await on.suffer(lose)
    for process in hit:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
    nodes.add()  # here: Ray sets signal handlers, which only the main thread may
    await on.wait_whole()
    return felt


async def measure_all(chosen: argparse.Namespace, nodes: FaultyNodes, home: Path) -> tuple[dict[str, Figures], Any]:
    """Every fault as often as asked for; what is wrong in the journal afterwards."""
    felt: dict[str, Figures] = {}
    async with stage(nodes, home, chosen.store_url) as on:
        for number in range(chosen.times):
            for kind in chosen.only:
                felt[f"{kind} {number + 1}"] = figures = await measure(kind, on, nodes)
                report.say(f"{kind}: {figures.as_json()}")
        return felt, (on.check_journal(), len(on.asked))


def table(felt: dict[str, Figures]) -> Table:
    """A row for each fault."""
    shown = Table(title="20 sessions, a turn each every 250 ms; times in ms")
    for heading in ("fault", "noticed", "turns", "added p50", "p99", "max", "others' worst", "errors"):
        shown.add_column(heading, justify="left" if heading == "fault" else "right")
    for name, figures in felt.items():
        shown.add_row(name, *(f"{value:.0f}" for value in figures.as_json().values()))
    return shown


def main() -> None:
    """Measure, print the table, write the JSON; exit 1 when a turn failed, was lost or was there twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store-url", required=True, help="an empty PostgreSQL database: postgresql://…")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=FAULTS)
    parser.add_argument("--json", type=Path, default=None, help="where the JSON goes instead of benchmarks/results/")
    chosen, facts = parser.parse_args(), machine.describe()
    home = Path(tempfile.mkdtemp(prefix="nf", dir="/tmp"))
    try:
        with faulty_nodes() as nodes:
            felt, (wrong, turns) = asyncio.run(measure_all(chosen, nodes, home))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    console = Console(width=120)
    console.print(table(felt))
    console.print(f"{turns} turns; wrong in the journal: {wrong or 'nothing'}")
    console.print(machine.as_line(facts))
    rows = {name: figures.as_json() for name, figures in felt.items()}
    result = {"benchmark": "node_failover", "machine": facts, "turns": turns, "wrong": wrong, "faults": rows}
    report.say(f"written: {report.write_json('node_failover', result, chosen.json)}")
    if wrong or any(figures.errors for figures in felt.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
