"""What a program that runs away costs the turns of other sessions in the same host."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.latency import percentile
from benchmarks.load import Record, open_loop, run
from benchmarks.ours import Ours, ours_server
from benchmarks.runaway_program import PACKAGE
from benchmarks.server import ServerError, stop_on_sigterm
from benchmarks.wire import fetch, http_request

KINDS = {
    "loop-compute": "an async program computes without end",
    "loop-wait": "an async program blocks its event loop",
    "thread-compute": "a sync program computes without end",
    "thread-wait": "a sync program waits",
    "thread-hold": "a sync program holds the interpreter in C code",
}
SESSIONS = 20
TIMEOUT_S = 5
"""How long the turn that runs away may take, as its client says."""
BEFORE_S, AFTER_S = 3.0, 3.0
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Felt:
    """What the others felt from the turn's begin to its end and a little longer, in ms over what was usual before.

    Attributes:
        turns: Of the others, in that time.
        ended_s: When the turn had its answer.
        answer: What that was.
        errors: Turns of the others without a good answer.
    """

    turns: int
    added_p50_ms: float
    added_p99_ms: float
    worst_ms: float
    errors: int
    ended_s: float
    answer: str


async def run_away(ours: Ours, kind: str) -> str:
    """The turn that runs away, in a session of its own; the code of its answer."""
    headers = {"Authorization": f"Bearer {ours.key}", "X-Request-Timeout": str(TIMEOUT_S)}
    body = orjson.dumps({"inputs": {"question": kind.partition("-")[2]}})
    request = http_request("POST", "127.0.0.1", f"/v1/sessions/{kind}/predict", body, headers)
    answer = await fetch("127.0.0.1", ours.server.port, request, timeout_s=60)
    return "200" if answer.status == 200 else f"{answer.status} {orjson.loads(answer.body).get('code')}"


async def measure(ours: Ours, kind: str, rate: float) -> Felt:
    """Others are asked at a steady pace; in the midst of it one runs away."""
    await wait_ready(ours)
    stop = asyncio.Event()
    load = asyncio.ensure_future(open_loop(ours.target(), rate=rate, seconds=600, until=stop))
    await asyncio.sleep(1 + BEFORE_S)
    began = time.perf_counter()
    answer = await run_away(ours, kind)
    ended = time.perf_counter()
    await asyncio.sleep(AFTER_S)
    stop.set()
    return felt((await load).records, began, ended, answer)


async def wait_ready(ours: Ours) -> None:
    """Until there is a host, and somebody who could take over. Raises ServerError."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        ready = {node["kind"] for node in await ours.nodes() if node["status"] == "ready"}
        if {"host", "standby"} <= ready:
            return
        await asyncio.sleep(0.25)
    raise ServerError(f"No host or no standby was ready within {READY_S:.0f} s.")


def felt(records: list[Record], began: float, ended: float, answer: str) -> Felt:
    """The figures of the turns that were due from then on, or under way."""
    usual = statistics.median(record.latency_s for record in records if record.done < began)
    others = [record for record in records if record.done >= began]
    added = [(record.latency_s - usual) * 1e3 for record in others if record.status == 200]
    bad = len(others) - len(added)
    return Felt(
        len(others), percentile(added, 0.5), percentile(added, 0.99), max(added), bad, ended - began, answer
    )  # fmt: skip


def measure_all(chosen: argparse.Namespace) -> dict[str, Felt]:
    """Each kind on one server, one after the other."""
    with ours_server(env={"DSPEX_PROGRAM_PACKAGES": PACKAGE, "DSPEX_STANDBY": str(chosen.standby)}) as server:
        ours = Ours.prepare(server, SESSIONS)
        with ours.client() as client:
            for kind in chosen.only:
                module = "Loop" if kind.startswith("loop") else "Thread"
                program = {"name": kind, "signature": "question -> answer", "module": f"python:{PACKAGE}:{module}"}
                client.post("/v1/programs", json=program).raise_for_status()
                client.post("/v1/sessions", json={"program": kind, "id": kind}).raise_for_status()
        found = {}
        for kind in chosen.only:
            found[kind] = run(measure(ours, kind, chosen.rate))
            report.say(f"{kind}: {found[kind]}")
    return found


def main() -> None:
    """Measure, print the table, write the JSON; exit 1 if a turn of another session failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0, help="turns of the others a second")
    parser.add_argument("--standby", type=int, default=1, help="hosts that can take over at once")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--json", type=Path, default=None, help="where the JSON goes instead of benchmarks/results/")
    chosen = parser.parse_args()
    stop_on_sigterm()
    found = measure_all(chosen)
    beside = f"{chosen.rate:.0f} turns/s of {SESSIONS} sessions beside one that runs away"
    shown = Table(title=f"{beside}, {chosen.standby} standby; ms added")
    for heading in ("what it does", "turns", "p50", "p99", "worst", "errors", "its turn ended", "with"):
        shown.add_column(heading, justify="left" if heading in ("what it does", "with") else "right")
    for kind, row in found.items():
        shown.add_row(
            KINDS[kind], f"{row.turns}", f"{row.added_p50_ms:.0f}", f"{row.added_p99_ms:.0f}", f"{row.worst_ms:.0f}",
            f"{row.errors}", f"{row.ended_s:.1f} s", row.answer,
        )  # fmt: skip
    facts = machine.describe()
    Console(width=130).print(shown, machine.as_line(facts), sep="\n")
    rows = {kind: asdict(row) for kind, row in found.items()}
    result: dict[str, Any] = {
        "benchmark": "runaway",
        "machine": facts,
        "rate": chosen.rate,
        "standby": chosen.standby,
        "kinds": rows,
    }
    report.say(f"written: {report.write_json('runaway', result, chosen.json)}")
    if any(row.errors for row in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    try:
        main()
    except ServerError as error:
        raise SystemExit(str(error)) from None
