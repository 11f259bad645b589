"""What clients feel when a session moves, and when a whole host is drained, beside the same host being killed."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.bursts import TURNS, Moved, figures, move_each
from benchmarks.journal_check import check_journal
from benchmarks.load import Record, Run, closed_loop, open_loop, run
from benchmarks.ours import Ours, ours_server
from benchmarks.server import Server, ServerError, stop_on_sigterm

SIGNATURE = "question: str, history: dspy.History -> answer: str"
WINDOW_S = 1.0
"""Turns in flight at an event, or due within this time after it, count as affected."""
SETTLE_S = 3.0
WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Exodus:
    """A host that lost its sessions: how, when, and how long a drain took (0 for a kill)."""

    how: str
    at: float
    took_ms: float


async def moves(ours: Ours, turns: int, rate: float) -> tuple[list[Moved], Run, Run]:
    """Give each session its past, then move each there and back under paced load; also the loads before and then."""
    past = await fill(ours, turns)
    stop = asyncio.Event()
    load = asyncio.ensure_future(open_loop(ours.target(), rate=rate, seconds=600, until=stop))
    await asyncio.sleep(SETTLE_S)
    try:
        moved = await move_each(ours)
    finally:
        stop.set()
        loop = await load
    return moved, past, loop


async def fill(ours: Ours, turns: int) -> Run:
    """At least so many turns in each session."""
    wanted, target, rounds = turns * len(ours.sessions), ours.target(), list[Run]()
    while sum(len(each.records) for each in rounds) < wanted:
        rounds.append(await closed_loop(target, connections=16, seconds=1.0, warmup_s=0.0))
    return Run([record for each in rounds for record in each.records], [], rounds[0].start, rounds[-1].end, 0.0)


async def exoduses(ours: Ours, rounds: int, rate: float) -> tuple[Run, list[Exodus]]:
    """Under paced load: drain the host, kill the next one, and so on."""
    stop = asyncio.Event()
    load = asyncio.ensure_future(open_loop(ours.target(), rate=rate, seconds=3600, until=stop))
    found: list[Exodus] = []
    try:
        await asyncio.sleep(1 + len(ours.sessions) / rate)  # each session has woken
        for number in range(rounds):
            for how in ("drain", "SIGKILL"):
                host = await wait_host(ours)
                found.append(await (drain(ours, host) if how == "drain" else kill(ours.server, host)))
                report.say(f"{how} {number + 1} of {rounds}")
                await asyncio.sleep(max(SETTLE_S, len(ours.sessions) / rate))  # each has woken again
    finally:
        stop.set()
        result = await load
    return result, found


async def drain(ours: Ours, host: dict[str, Any]) -> Exodus:
    """Ask for it, and wait until all have left."""
    at = time.perf_counter()
    answer = await ours.post(f"/v1/hosts/{host['id']}/drain")
    if answer.status != 200 or orjson.loads(answer.body)["status"] != "drained":
        raise RuntimeError(f"the host was not drained: {answer.body.decode(errors='replace')}")
    return Exodus("drain", at, (time.perf_counter() - at) * 1e3)


async def kill(server: Server, host: dict[str, Any]) -> Exodus:
    """SIGKILL, if it is ours."""
    if not server.owns(psutil.Process(host["pid"])):
        raise RuntimeError(f"Process {host['pid']} was not started by this benchmark: it is left alone.")
    at = time.perf_counter()
    os.kill(host["pid"], signal.SIGKILL)
    return Exodus("SIGKILL", at, 0.0)


async def wait_host(ours: Ours) -> dict[str, Any]:
    """The host that has the shards, as soon as a standby is ready."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        ready = [node for node in await ours.nodes() if node["status"] == "ready"]
        hosts = [node for node in ready if node["kind"] == "host" and node["shards"]]
        if hosts and any(node["kind"] == "standby" for node in ready):
            return hosts[0]
        await asyncio.sleep(0.25)
    raise ServerError(f"No host and standby were ready within {WAIT_S:.0f} s.")


def affected_ms(records: list[Record], event: Exodus, median_s: float) -> list[float]:
    """What was added to the turns in flight at the event, or due soon after it."""
    seen = (record for record in records if record.done > event.at and record.scheduled < event.at + WINDOW_S)
    return [(record.latency_s - median_s) * 1e3 for record in seen]


def summary_of_moves(moved: list[Moved]) -> dict[str, Any]:
    """The pauses, and what the bursts with a move took longer than the median of those without."""
    still = [value for each in moved for value in each.still.latencies_ms]
    median = statistics.median(still)
    moving = [value - median for each in moved for value in each.moving.latencies_ms]
    return {
        "moves": len(moved),
        "pause_ms": figures([each.pause_ms for each in moved]),
        "added_without_ms": figures([value - median for value in still]),
        "added_with_ms": figures(moving),
        "errors": sum(each.still.errors + each.moving.errors for each in moved),
    }


def summary_of_exoduses(loop: Run, events: list[Exodus], how: str) -> dict[str, Any]:
    """All of one kind together."""
    quiet = [record.latency_s for record in loop.records if record.done < events[0].at]
    median = statistics.median(quiet)
    mine = [event for event in events if event.how == how]
    added = [value for event in mine for value in affected_ms(loop.records, event, median)]
    return {
        "times": len(mine),
        "took_ms": [round(event.took_ms) for event in mine],
        "affected": len(added),
        "added_ms": figures(added),
        "fault_free_added_ms": figures([(value - median) * 1e3 for value in quiet]),
    }


def table(one: dict[str, Any], drained: dict[str, Any], killed: dict[str, Any]) -> Table:
    """One row each."""
    shown = Table(title="Added latency of the turns that a move, a drain or a kill can have touched (ms)")
    for heading in ("what", "turns", "p50", "p99", "max"):
        shown.add_column(heading, justify="left" if heading == "what" else "right")
    bursts = one["moves"] * TURNS
    rows = [
        ("a session moves: pause, as the server says", one["moves"], one["pause_ms"]),
        ("a session moves: turns sent meanwhile", bursts, one["added_with_ms"]),
        ("the same turns without a move", bursts, one["added_without_ms"]),
        (f"a host is drained, in {max(drained['took_ms'])} ms at most", drained["affected"], drained["added_ms"]),
        ("a host gets SIGKILL", killed["affected"], killed["added_ms"]),
        ("nothing happens", "", drained["fault_free_added_ms"]),
    ]
    for what, count, values in rows:
        shown.add_row(what, str(count), *(f"{values[name]:.1f}" for name in ("p50", "p99", "max")))
    return shown


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100, help="sessions that move one by one")
    parser.add_argument("--turns", type=int, default=100, help="turns that each of them has")
    parser.add_argument("--activated", type=int, default=1000, help="sessions of the host that is drained or killed")
    parser.add_argument("--rounds", type=int, default=3, help="drains, and kills")
    parser.add_argument("--rate", type=float, default=100.0, help="paced turns a second")
    parser.add_argument("--json", type=Path, default=None, help="where the JSON goes instead of benchmarks/results/")
    return parser.parse_args()


def measure(chosen: argparse.Namespace) -> tuple[dict[str, Any], ...]:
    """One server: single moves, then drains and kills; what is left is looked at in the end."""
    server = ours_server()
    with contextlib.ExitStack() as stack:
        stack.callback(report.say_left_behind, server)
        stack.enter_context(server)
        ours = Ours.prepare(server, max(chosen.sessions, chosen.activated), SIGNATURE)
        moved, past, meanwhile = run(moves(ours.only(0, chosen.sessions), chosen.turns, chosen.rate))
        loop, events = run(exoduses(ours.only(0, chosen.activated), chosen.rounds, chosen.rate))
        records = [*past.records, *meanwhile.warmup, *meanwhile.records, *loop.warmup, *loop.records]
        journal = check_journal(records, lambda session: [(t["turn"], t["turn_id"]) for t in ours.turns(session)])
    one = summary_of_moves(moved)
    one["errors"] += sum(record.status != 200 for record in [*past.records, *meanwhile.records])
    drained, killed = (summary_of_exoduses(loop, events, how) for how in ("drain", "SIGKILL"))
    left = {"journal": journal.as_json(), "errors": one["errors"] + sum(r.status != 200 for r in loop.records)}
    return one, drained, killed, left


def main() -> None:
    """The table, the JSON; exit 1 when a turn was lost or anything was answered but 200."""
    chosen = options()
    stop_on_sigterm()
    facts = machine.describe()
    one, drained, killed, left = measure(chosen)
    console = Console(width=110)
    console.print(table(one, drained, killed))
    console.print(f"errors: {left['errors']}; {left['journal']}")
    console.print(machine.as_line(facts))
    settings = {name: value for name, value in vars(chosen).items() if name != "json"}
    content = {"benchmark": "moves", "machine": facts, "settings": settings, "session": one, "drain": drained}
    written = report.write_json("moves", {**content, "kill": killed, "left": left}, chosen.json)
    report.say(f"written: {written}")
    if left["errors"] or not left["journal"]["kept"]:
        raise SystemExit(1)


if __name__ == "__main__":
    try:
        main()
    except ServerError as error:
        raise SystemExit(str(error)) from None
