"""Predictions a second over HTTP at 1, 16 and 64 connections: ours, where every turn is durable, beside three peers."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import machine, report, stacks
from benchmarks.latency import Summary, median_of, summarise
from benchmarks.load import closed_loop, run
from benchmarks.ours import DURABILITY, NAME, SIGNATURE, Ours, ours_server
from benchmarks.peers.catalogue import DEFAULT_PEERS, THROUGHPUT_PEERS, prediction_target
from benchmarks.server import Server, ServerError, stop_on_sigterm
from benchmarks.wire import Target, fetch

CONNECTIONS = (1, 16, 64)
WARM_UP_S = 2.0
OURS = "ours"
OURS_TALKING = "ours-talking"
SIGNATURES = {OURS: SIGNATURE, OURS_TALKING: "question: str, history: dspy.History -> answer: str"}
WINDOW = 20
"""Earlier turns that a program is shown, unless it says otherwise."""


@dataclass(slots=True)
class Contestant:
    """What was measured of one server: connections -> one summary a round."""

    name: str
    durability: str
    started_in_s: list[float] = field(default_factory=list)
    rounds: dict[int, list[Summary]] = field(default_factory=dict)

    def medians(self) -> dict[int, Summary]:
        """The median round at each number of connections."""
        return {connections: median_of(rounds) for connections, rounds in self.rounds.items()}


@contextlib.contextmanager
def running(name: str, sessions: int) -> Iterator[tuple[Server, Target, Ours | None]]:
    """A server by its short name, once it has given one right answer. Raises ServerError when it does not."""
    with contextlib.ExitStack() as stack:
        server = ours_server() if name in SIGNATURES else THROUGHPUT_PEERS[name]()
        stack.callback(report.say_left_behind, server)
        stack.enter_context(server)
        ours = Ours.prepare(server, sessions, SIGNATURES[name]) if name in SIGNATURES else None
        target = ours.target() if ours else prediction_target(server)
        answer = run(fetch(target.host, target.port, target.request(0), timeout_s=30))
        if answer.status != 200 or b"mock answer" not in answer.body:
            raise ServerError(f"{server.name} answers {answer.status} {answer.body[:500]!r} instead of a prediction.")
        yield server, target, ours


def measure(names: list[str], chosen: argparse.Namespace) -> list[Contestant]:
    """Each round runs every server, alone and in another order: an idle Ray would share the cores."""
    found: dict[str, Contestant] = {}
    for number in range(chosen.rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            with running(name, chosen.sessions) as (server, target, ours):
                durability = DURABILITY if ours else "nothing durable"
                shown = server.name if name != OURS_TALKING else f"{server.name}, {WINDOW} turns shown"
                contestant = found.setdefault(name, Contestant(shown, durability))
                contestant.started_in_s.append(round(server.started_in_s, 1))
                run(closed_loop(target, connections=max(CONNECTIONS), seconds=WARM_UP_S))
                while name == OURS_TALKING and ours and len(ours.turns(ours.sessions[-1])) < WINDOW:
                    run(closed_loop(target, connections=max(CONNECTIONS), seconds=WARM_UP_S))
                for count in chosen.connections:
                    summary = summarise(run(closed_loop(target, connections=count, seconds=chosen.seconds)))
                    contestant.rounds.setdefault(count, []).append(summary)
                    report.say(f"round {number + 1} · {count:>2} · {shown}: {_line(summary)}")
                if chosen.profile and ours and number == chosen.rounds - 1:
                    show_profile(ours)
    return [found[name] for name in names]


def _line(summary: Summary) -> str:
    return f"{summary.requests_per_s:.0f}/s, p50 {summary.p50_ms:.1f} ms, {summary.errors} errors"


def table(contestants: list[Contestant], connections: list[int]) -> Table:
    """The medians; the last column tells how many times as fast as this peer we are."""
    shown = Table(title="Predictions over HTTP, median of the rounds")
    for heading in ("conns", "server", "req/s", "p50 ms", "p95 ms", "p99 ms", "errors", "ours ÷ this"):
        shown.add_column(heading, justify="left" if heading == "server" else "right")
    for count in connections:
        ours = next((c.medians()[count].requests_per_s for c in contestants if c.name == NAME), None)
        for contestant in contestants:
            figures = contestant.medians()[count]
            shown.add_row(str(count), contestant.name, *_cells(figures, ours))
        shown.add_section()
    return shown


def _cells(figures: Summary, ours: float | None) -> list[str]:
    ratio = f"{ours / figures.requests_per_s:.2f}" if ours and figures.requests_per_s else "-"
    times = [f"{value:.1f}" for value in (figures.p50_ms, figures.p95_ms, figures.p99_ms)]
    return [f"{figures.requests_per_s:.1f}", *times, str(figures.errors), ratio]


def as_json(contestants: list[Contestant], options: argparse.Namespace, facts: dict[str, Any]) -> dict[str, Any]:
    """Everything: the machine, the options, the medians and every round."""
    servers = [
        {
            "name": contestant.name,
            "durability": contestant.durability,
            "started_in_s": contestant.started_in_s,
            "medians": {str(count): summary.as_json() for count, summary in contestant.medians().items()},
            "rounds": {str(count): [s.as_json() for s in rounds] for count, rounds in contestant.rounds.items()},
        }
        for contestant in contestants
    ]
    settings = {"seconds": options.seconds, "rounds": options.rounds, "sessions": options.sessions}
    return {"benchmark": "throughput", "machine": facts, "settings": settings, "servers": servers}


def show_profile(ours: Ours) -> None:
    """Print where the host and the replica spend their time under load."""
    for title, rows in run(stacks.profile(ours)).items():
        shown = Table(
            title=f"{title}: share of the time that the GIL was held" if rows else f"{title}: py-spy could not attach"
        )
        shown.add_column("function")
        shown.add_column("own", justify="right")
        shown.add_column("with callees", justify="right")
        for function, own, whole in rows:
            shown.add_row(function, f"{own:.1%}", f"{whole:.1%}")
        Console(width=140).print(shown)


def options() -> argparse.Namespace:
    """The command line."""
    names = [*SIGNATURES, *THROUGHPUT_PEERS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=list(CONNECTIONS))
    parser.add_argument("--sessions", type=int, default=200, help="our sessions, loaded in turn")
    parser.add_argument("--only", nargs="+", choices=names, default=[OURS, *DEFAULT_PEERS])
    parser.add_argument("--json", type=Path, default=None, help="where the JSON goes instead of benchmarks/results/")
    parser.add_argument("--profile", action="store_true", help="sample our host and replica under load with py-spy")
    return parser.parse_args()


def main() -> None:
    """Measure in turn, print the table, write the JSON."""
    chosen = options()
    stop_on_sigterm()
    facts = machine.describe()
    contestants = measure(chosen.only, chosen)
    Console(width=110).print(table(contestants, chosen.connections))
    Console().print(f"{machine.as_line(facts)}\nours: {DURABILITY}; peers: nothing durable")
    report.say(f"written: {report.write_json('throughput', as_json(contestants, chosen, facts), chosen.json)}")


if __name__ == "__main__":
    try:
        main()
    except ServerError as error:
        raise SystemExit(str(error)) from None
