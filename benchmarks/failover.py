"""What clients feel when the process that holds their sessions is killed: ours, and a Ray actor that Ray restarts."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.journal_check import JournalCheck, check_journal
from benchmarks.kills import NoVictimError, load_and_kill
from benchmarks.load import Run, run
from benchmarks.outage import Outage, added_figures, fault_free_median_s, outage_of
from benchmarks.server import ServerError, stop_on_sigterm
from benchmarks.victims import CONTESTANTS, OURS


@dataclass(frozen=True, slots=True)
class Result:
    """One contestant's run."""

    name: str
    fault_free_ms: float
    outages: list[Outage]
    errors: int
    requests: int
    journal: JournalCheck

    def overall(self) -> dict[str, float]:
        """The figures over the affected requests of all kills."""
        return added_figures(list(itertools.chain.from_iterable(outage.added_ms for outage in self.outages)))

    def as_json(self) -> dict[str, Any]:
        """Everything, kill by kill."""
        return {
            "name": self.name,
            "fault_free_p50_ms": round(self.fault_free_ms, 2),
            "requests": self.requests,
            "errors": self.errors,
            "overall": self.overall(),
            "median_kill": median_kill(self.outages),
            "kills": [outage.as_json() for outage in self.outages],
            "journal": self.journal.as_json(),
        }


def contest(name: str, options: argparse.Namespace) -> Result:
    """Start one server, load and kill, look at what is left, stop it."""
    make_server, make_contestant = CONTESTANTS[name]
    server = make_server()
    report.say(f"starting {server.name} …")
    with contextlib.ExitStack() as stack:
        stack.callback(report.say_left_behind, server)
        stack.enter_context(server)
        contestant = make_contestant(server, options.sessions)
        loop, killed = run(load_and_kill(contestant, rate=options.rate, kills=options.kills, gap_s=options.gap))
        journal = check_journal([*loop.warmup, *loop.records], contestant.turns_of)
    return _result(server.name, loop, killed, journal)


def _result(name: str, loop: Run, killed: list[float], journal: JournalCheck) -> Result:
    median_s = fault_free_median_s(loop.records, killed[0])
    ends = [*killed[1:], math.inf]
    return Result(
        name=name,
        fault_free_ms=median_s * 1e3,
        outages=[outage_of(loop.records, at, until, median_s) for at, until in zip(killed, ends, strict=True)],
        errors=sum(record.status != 200 for record in loop.records),
        requests=len(loop.records),
        journal=journal,
    )


def table(results: list[Result]) -> Table:
    """One row a kill, one for all of them."""
    shown = Table(title="Added latency of the requests in flight or arriving during the outage (ms)")
    for heading in ("server", "kill", "outage", "affected", "p50", "p99", "max", "worst later", "late", "errors"):
        shown.add_column(heading, justify="left" if heading == "server" else "right")
    for result in results:
        for number, outage in enumerate(result.outages, start=1):
            row = outage.as_json()
            shown.add_row(
                result.name,
                str(number),
                f"{row['outage_ms']:.0f}",
                *_added_cells(row),
                f"{row['worst_later_ms']:.0f}",
                f"{row['generator_late_ms']:.0f}",
                str(row["errors"]),
            )
        shown.add_row(f"[b]{result.name}", "median kill", *_median_cells(result.outages))
        shown.add_row(f"[b]{result.name}", "all", "", *_added_cells(result.overall()), "", "", str(result.errors))
        shown.add_section()
    return shown


def median_kill(outages: list[Outage]) -> dict[str, float]:
    """The median of the kills, figure by figure."""
    rows = [outage.as_json() for outage in outages]
    return {name: round(statistics.median(row[name] for row in rows), 1) for name in rows[0]}


def _median_cells(outages: list[Outage]) -> list[str]:
    row = median_kill(outages)
    later = (f"{row[name]:.0f}" for name in ("worst_later_ms", "generator_late_ms", "errors"))
    return [f"{row['outage_ms']:.0f}", *_added_cells({**row, "affected": round(row["affected"])}), *later]


def _added_cells(figures: dict[str, Any]) -> list[str]:
    return [str(figures["affected"]), *(f"{figures[f'added_{name}_ms']:.1f}" for name in ("p50", "p99", "max"))]


def say_state(console: Console, result: Result) -> None:
    """What is left of the acknowledged turns."""
    journal = result.journal
    console.print(
        f"{result.name}: fault-free p50 {result.fault_free_ms:.1f} ms; {journal.acknowledged} turns acknowledged, "
        f"{journal.missing} lost, {journal.repeated} repeated, {journal.renumbered} under another number, "
        f"{journal.gaps} sessions with gaps"
    )


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second")
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument(
        "--gap", type=float, default=5.0, help="seconds before the first kill and between two, at least"
    )
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--json", type=Path, default=None, help="where the JSON goes instead of benchmarks/results/")
    return parser.parse_args()


def main() -> None:
    """One server after the other; the table, the JSON; exit 1 when ours lost anything or answered anything but 200."""
    chosen = options()
    stop_on_sigterm()
    facts = machine.describe()
    results = [contest(name, chosen) for name in chosen.only]
    console = Console(width=110)
    console.print(table(results))
    for result in results:
        say_state(console, result)
    console.print(machine.as_line(facts))
    settings = {"rate": chosen.rate, "sessions": chosen.sessions, "kills": chosen.kills, "gap_s": chosen.gap}
    figures = [result.as_json() for result in results]
    content = {"benchmark": "failover", "machine": facts, "settings": settings, "servers": figures}
    report.say(f"written: {report.write_json('failover', content, chosen.json)}")
    if OURS in chosen.only and not (results[0].journal.kept and results[0].errors == 0):
        raise SystemExit(1)


if __name__ == "__main__":
    try:
        main()
    except (ServerError, NoVictimError) as error:
        raise SystemExit(str(error)) from None
