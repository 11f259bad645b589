"""What a turn of ten seconds costs turns of ten milliseconds in the same host."""

from __future__ import annotations

import argparse
import asyncio
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.latency import Summary, summarise
from benchmarks.load import open_loop, run
from benchmarks.ours import Ours, ours_server
from benchmarks.server import ServerError, stop_on_sigterm
from benchmarks.wire import fetch, http_request

SHORT, LONG = "mock?latency_s=0.01", "mock?latency_s=10"
SHORT_SESSIONS, LONG_SESSIONS = 20, 4
MEMORY = Path("/dev/shm")  # the question is who waits for whom in the host, not what the disk does


def sessions_with(ours: Ours, client: httpx.Client, name: str, model: str, count: int) -> tuple[str, ...]:
    """New sessions with that model."""
    ids = tuple(f"{name}-{number}" for number in range(count))
    for session in ids:
        client.post("/v1/sessions", json={"program": "qa", "id": session, "lm": model}).raise_for_status()
    return ids


async def short_turns(ours: Ours, chosen: argparse.Namespace) -> Summary:
    """The short turns, paced."""
    return summarise(await open_loop(ours.target(), rate=chosen.rate, seconds=chosen.seconds))


async def beside_long_turns(ours: Ours, long: tuple[str, ...], chosen: argparse.Namespace) -> Summary:
    """The same while other sessions run long turns; these must end well too."""
    waiting = [asyncio.ensure_future(_long_turn(ours, session)) for session in long]
    found = await short_turns(ours, chosen)
    if any(status != 200 for status in await asyncio.gather(*waiting)):
        raise ServerError("A long turn failed.")
    return found


async def _long_turn(ours: Ours, session: str) -> int:
    headers = {"Authorization": f"Bearer {ours.key}"}
    body = orjson.dumps({"inputs": {"question": "Take your time."}})
    request = http_request("POST", "127.0.0.1", f"/v1/sessions/{session}/predict", body, headers)
    return (await fetch("127.0.0.1", ours.server.port, request, timeout_s=60)).status


def measure(chosen: argparse.Namespace) -> tuple[list[Summary], list[Summary]]:
    """Rounds alone and rounds beside long turns, alternating."""
    with ours_server(MEMORY if MEMORY.is_dir() else None) as server:
        ours = Ours.prepare(server, 1)
        with ours.client() as client:
            client.post("/v1/programs", json={"name": "qa", "signature": "question: str -> answer: str"})
            short = sessions_with(ours, client, "short", SHORT, SHORT_SESSIONS)
            long = sessions_with(ours, client, "long", LONG, LONG_SESSIONS)
        ours = replace(ours, sessions=short)
        alone, beside = [], []
        run(short_turns(ours, chosen))  # warm
        for number in range(chosen.rounds):
            alone.append(run(short_turns(ours, chosen)))
            beside.append(run(beside_long_turns(ours, long, chosen)))
            report.say(f"round {number + 1}: p99 {alone[-1].p99_ms:.1f} ms alone, {beside[-1].p99_ms:.1f} ms beside")
    return alone, beside


def medians(rounds: list[Summary]) -> dict[str, float]:
    """The medians of the rounds."""
    return {name: statistics.median(getattr(r, name) for r in rounds) for name in ("p50_ms", "p99_ms", "errors")}


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="length of one round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rate", type=float, default=100.0, help="short turns a second")
    parser.add_argument("--json", type=Path, default=None, help="where the JSON goes instead of benchmarks/results/")
    chosen = parser.parse_args()
    stop_on_sigterm()
    alone, beside = measure(chosen)
    shown = Table(title=f"Turns of 10 ms at {chosen.rate:.0f}/s, median of {chosen.rounds} rounds")
    for heading in ("", "p50 ms", "p99 ms", "errors"):
        shown.add_column(heading, justify="right")
    for name, rounds in (("alone", alone), (f"beside {LONG_SESSIONS} turns of 10 s", beside)):
        figures = medians(rounds)
        shown.add_row(name, f"{figures['p50_ms']:.1f}", f"{figures['p99_ms']:.1f}", f"{figures['errors']:.0f}")
    rise = medians(beside)["p99_ms"] / medians(alone)["p99_ms"] - 1
    Console(width=100).print(shown, f"p99 of the short turns changes by {rise:+.1%}", sep="\n")
    facts = machine.describe()
    Console().print(machine.as_line(facts))
    result: dict[str, Any] = {
        "benchmark": "neighbours", "machine": facts, "rise_of_p99": rise,
        "alone": [s.as_json() for s in alone], "beside": [s.as_json() for s in beside],
    }  # fmt: skip
    report.say(f"written: {report.write_json('neighbours', result, chosen.json)}")


if __name__ == "__main__":
    try:
        main()
    except ServerError as error:
        raise SystemExit(str(error)) from None
