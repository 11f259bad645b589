"""Supervision: children of one process beside the BEAM's, Ray actors beside Ray's own restarts."""

from __future__ import annotations

import argparse
import asyncio
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import local_children, machine, report
from benchmarks.latency import percentile

PARTS = ("local", "ray")
ROWS = (
    ("start_s", "start all, s", 3),
    ("stop_s", "stop all, s", 3),
    ("first_start_us", "one start, first tenth, us", 1),
    ("last_start_us", "one start, last tenth, us", 1),
    ("restart_p50_us", "crash to answering, p50, us", 1),
    ("restart_p99_us", "crash to answering, p99, us", 1),
)


def local_part(chosen: argparse.Namespace, console: Console) -> dict[str, Any]:
    """In-process children and, in the same rounds, OTP's."""
    ours, beam = [], []
    for number in range(chosen.rounds):
        ours.append(local_children.measure(chosen.children, chosen.crashes).as_json())
        beam.append(local_children.measure_beam(chosen.children, chosen.crashes))
        report.say(f"round {number + 1}: restarted and answering in {ours[-1]['restart_p50_us']:.0f} us (p50)")
    peers = [figures for figures in beam if figures is not None]
    console.print(_local_table(chosen, ours, peers))
    if not peers:
        console.print("No BEAM beside it: erl is not installed.")
    memory = asyncio.run(local_children.memory_per_child(chosen.children))
    console.print(f"Memory of a child and of what its supervisor knows of it: {memory:.0f} bytes")
    return {"ours": ours, "beam": peers, "bytes_per_child": round(memory)}


def _local_table(chosen: argparse.Namespace, ours: list[dict[str, Any]], beam: list[dict[str, Any]]) -> Table:
    table = Table(title=f"{chosen.children} children of one process, median of {chosen.rounds} rounds")
    for heading in ("", "ours", "BEAM"):
        table.add_column(heading, justify="right")
    for name, label, digits in ROWS:
        cells = (
            f"{statistics.median(round_[name] for round_ in rounds):.{digits}f}"
            if rounds and name in rounds[0]
            else "-"
            for rounds in (ours, beam)
        )
        table.add_row(label, *cells)
    return table


def ray_part(chosen: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Ray actors that get SIGKILL."""
    from benchmarks import ray_children

    with ray_children.own_ray():
        kills = asyncio.run(ray_children.measure(chosen.kills, chosen.gap))
    table = Table(title=f"Ray actors after SIGKILL, {chosen.kills} kills each")
    for heading in ("restarted from", "noticed p50 ms", "worst", "told p50 ms", "worst", "answering p50 ms", "worst"):
        table.add_column(heading, justify="right")
    for name, found in kills.items():
        times = (found.detected_ms, found.told_ms, found.answered_ms)
        table.add_row(name, *(cell for each in times for cell in _p50_and_worst(each)))
    console.print(table)
    return {name: asdict(found) for name, found in kills.items()}


def _p50_and_worst(times: list[float]) -> tuple[str, str]:
    return (f"{percentile(times, 0.5):.1f}", f"{max(times):.1f}") if times else ("-", "-")


def main() -> None:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=10_000, help="siblings in one process")
    parser.add_argument("--crashes", type=int, default=2_000, help="of in-process children, a round")
    parser.add_argument("--rounds", type=int, default=5, help="of the in-process part")
    parser.add_argument("--kills", type=int, default=10, help="of Ray actors, of each kind")
    parser.add_argument("--gap", type=float, default=2.0, help="seconds before each of these kills")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--json", type=Path, default=None, help="where the JSON goes instead of benchmarks/results/")
    chosen = parser.parse_args()
    facts, console = machine.describe(), Console(width=110)
    result: dict[str, Any] = {"benchmark": "supervision", "machine": facts}
    for part, measure in (("local", local_part), ("ray", ray_part)):
        if part in chosen.only:
            result[part] = measure(chosen, console)
    console.print(machine.as_line(facts))
    report.say(f"written: {report.write_json('supervision', result, chosen.json)}")


if __name__ == "__main__":
    main()
