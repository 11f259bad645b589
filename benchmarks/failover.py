"""What clients feel when the process that holds their sessions is killed: ours, beside a Ray actor that Ray restarts."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import math
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.journal_check import JournalCheck, Turns, check_journal
from benchmarks.load import Run, open_loop, run
from benchmarks.ours import Ours, ours_server
from benchmarks.outage import Outage, added_figures, fault_free_median_s, outage_of
from benchmarks.peers.catalogue import restarted_actor, session_target
from benchmarks.server import Server, stop_on_sigterm
from benchmarks.wire import Target, fetch, http_request

READY_WITHIN_S = 60.0
_POLL_S = 0.25
OURS, PEER = "ours", "restarted-actor"


class NoVictimError(RuntimeError):
    """Nobody could be killed in time; the sentence says whom it waited for."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A running server, its load, whom to kill now (None: not yet), and what a session holds."""

    server: Server
    target: Target
    victim: Callable[[], Awaitable[int | None]]
    turns_of: Callable[[str], Turns]


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
            "kills": [outage.as_json() for outage in self.outages],
            "journal": self.journal.as_json(),
        }


def ours_contestant(server: Server, sessions: int) -> Contestant:
    """Ours: the host is killed, and only while a standby is ready."""
    ours = Ours.prepare(server, sessions)

    async def victim() -> int | None:
        ready = [node for node in await ours.nodes() if node["status"] == "ready"]
        hosts = [node["pid"] for node in ready if node["kind"] == "host"]
        return hosts[0] if hosts and any(node["kind"] == "standby" for node in ready) else None

    def turns_of(session: str) -> Turns:
        return [(turn["turn"], turn["turn_id"]) for turn in ours.turns(session)]

    return Contestant(server, ours.target(), victim, turns_of)


def peer_contestant(server: Server, sessions: int) -> Contestant:
    """Ray's restart: the actor is killed as soon as it answers again."""
    base = f"http://127.0.0.1:{server.port}"

    async def victim() -> int | None:
        answer = await fetch("127.0.0.1", server.port, http_request("GET", "127.0.0.1", "/readyz"))
        return orjson.loads(answer.body)["pid"] if answer.status == 200 else None

    def turns_of(session: str) -> Turns:
        return list(enumerate(httpx.get(f"{base}/sessions/{session}/turns").raise_for_status().json(), start=1))

    return Contestant(server, session_target(server, sessions), victim, turns_of)


CONTESTANTS: dict[str, tuple[Callable[[], Server], Callable[[Server, int], Contestant]]] = {
    OURS: (ours_server, ours_contestant),
    PEER: (restarted_actor, peer_contestant),
}


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
        pid = await contestant.victim()
        if pid is not None:
            return pid
        await asyncio.sleep(_POLL_S)
    raise NoVictimError(
        f"{contestant.server.name} was not ready for a kill within {READY_WITHIN_S:.0f} s: nobody serves, or no standby."
    )


def _kill(server: Server, pid: int) -> float:
    if not server.owns(psutil.Process(pid)):
        raise NoVictimError(f"Process {pid} was not started by this benchmark: it is left alone.")
    at = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    return at


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
    for heading in ("server", "kill", "outage", "affected", "p50", "p99", "max", "worst later", "errors"):
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
                str(row["errors"]),
            )
        shown.add_row(f"[b]{result.name}", "all", "", *_added_cells(result.overall()), "", str(result.errors))
        shown.add_section()
    return shown


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
    main()
