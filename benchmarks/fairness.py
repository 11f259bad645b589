"""What a flood in one session costs the turns of the others: paced turns, alone and beside it, in one process."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import math
import statistics
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.latency import percentile
from dspex_actors.embedded.local import LocalTurns
from dspex_actors.embedded.operations import LocalOperations
from dspex_actors.embedded.session import LocalSession
from dspex_actors.embedded.watching import TENANT
from dspex_actors.errors import DspexError
from dspex_actors.ids import body_hash
from dspex_actors.lm.models import Models
from dspex_actors.programs.catalogue import Programs
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.resources.turn import TurnRequest
from dspex_actors.sessions.activation import Ask
from dspex_actors.sessions.host import Host
from dspex_actors.sessions.keep import keep_what_is_here
from dspex_actors.sessions.runtime import SessionRuntime
from dspex_actors.store import Store, open_store

MODELS = {"none": "mock", "10 ms": "mock?latency_s=0.01"}
"""By the time that the model takes: without any, turns fight for the processor alone."""
QUESTION = {"question": "Me first!"}
HASH, INPUTS = body_hash("turn", QUESTION), orjson.dumps(QUESTION)
SWITCH_S = 0.001
"""As in a host's process: how long a thread may keep the others waiting."""


@dataclass(frozen=True, slots=True)
class Round:
    """The paced turns of one round, in ms from the time that each was due, and what the flood got."""

    p50_ms: float
    p99_ms: float
    errors: int
    flood_turns: int
    flood_refused: int


class Flood:
    """One session with `size` turns queued at once, as a chunk of frames brings them; again when all have ended."""

    def __init__(self, host: Host, record: SessionRecord, epoch: int, size: int) -> None:
        self._host, self._record, self._epoch, self._size = host, record, epoch, size
        self._loop = asyncio.get_running_loop()
        self._asked = self._under_way = 0
        self.on = False
        self.turns = self.refused = 0

    def begin(self) -> None:
        """Queue them."""
        self.on = True
        for _ in range(self._size):
            self._asked += 1
            self._under_way += 1
            turn = TurnRequest(f"flood-{self._asked}", True, HASH, INPUTS, 60.0)
            ask = Ask(self._record.uid, self._record.unit, self._epoch, 1, turn)
            self._host.ask(ask, Queued(self))

    async def end(self) -> None:
        """Wait for those that are queued, and queue no more."""
        self.on = False
        while self._under_way:  # noqa: ASYNC110 - its turns have no event
            await asyncio.sleep(0.01)

    def ended(self) -> None:
        """One of them has."""
        self._under_way -= 1
        if self.on and not self._under_way:
            self._loop.call_soon(self.begin)


@dataclass(slots=True, eq=False)
class Queued:
    """Waits for one turn of the flood (`events.Waiter`)."""

    flood: Flood
    streams: bool = False

    def started(self, attempt: int) -> None:
        """Nobody reads along."""

    def token(self, n: int, field: str, delta: str) -> None:
        """Nobody reads along."""

    def reply(self, body: bytes, replayed: bool) -> None:
        """It is done."""
        self.flood.turns += 1
        self.flood.ended()

    def fail(self, error: DspexError) -> None:
        """It was refused."""
        self.flood.refused += 1
        self.flood.ended()


async def paced(sessions: list[LocalSession], rate: float, seconds: float) -> tuple[list[float], int]:
    """Latencies in ms of turns that are due at fixed times, over the sessions in turn; and how many failed."""
    loop = asyncio.get_running_loop()
    start, times, errors = loop.time() + 0.1, list[float](), 0

    async def turn(session: LocalSession, due: float) -> None:
        nonlocal errors
        try:
            await session.predict(question="What is 2+2?")
            times.append((loop.time() - due) * 1000)
        except DspexError:
            errors += 1

    async with asyncio.TaskGroup() as turns:
        for number, session in zip(range(round(rate * seconds)), itertools.cycle(sessions), strict=False):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            turns.create_task(turn(session, due))
    return times, errors


async def one_round(sessions: list[LocalSession], flood: Flood | None, chosen: argparse.Namespace) -> Round:
    """Measure once."""
    before = (flood.turns, flood.refused) if flood else (0, 0)
    if flood:
        flood.begin()
    times, errors = await paced(sessions, chosen.rate, chosen.seconds)
    after = (flood.turns, flood.refused) if flood else (0, 0)
    if flood:
        await flood.end()
    times = times or [math.nan]
    return Round(percentile(times, 0.5), percentile(times, 0.99), errors, after[0] - before[0], after[1] - before[1])


async def measure(lm: str, chosen: argparse.Namespace) -> dict[str, list[Round]]:
    """Rounds alone and rounds beside the flood, alternating."""
    async with hosting(lm) as (host, turns, runtime, store):
        await runtime.create_program(TENANT, ProgramSpec(name="qa", signature="question: str -> answer: str"), None)
        sessions = [await _opened(runtime, f"paced-{number}") for number in range(chosen.sessions)]
        await _opened(runtime, "flood")
        record = store.get_session(TENANT, "flood")
        flood = Flood(host, record, turns.place(record).epoch, chosen.flood)
        found: dict[str, list[Round]] = {"alone": [], "flood": []}
        await paced(sessions, chosen.rate, 1.0)  # warm
        keep_what_is_here()  # as in a host's process
        for number in range(chosen.rounds):
            found["alone"].append(await one_round(sessions, None, chosen))
            found["flood"].append(await one_round(sessions, flood, chosen))
            p99s = ", ".join(f"{name} {rounds[-1].p99_ms:.1f} ms" for name, rounds in found.items())
            report.say(f"{lm}: round {number + 1}: p99 {p99s}")
    return found


@contextlib.asynccontextmanager
async def hosting(lm: str) -> AsyncIterator[tuple[Host, LocalTurns, SessionRuntime, Store]]:
    """One host in this process, over a store in memory."""
    store, models = open_store("sqlite://"), Models(lm, None, None)
    programs = Programs(models, ())
    host = Host("fairness", store, programs)
    turns = LocalTurns(host)
    turns.take(store)
    runtime = SessionRuntime(store, turns, programs, models, LocalOperations(host))
    try:
        yield host, turns, runtime, store
    finally:
        await host.close()
        runtime.close()
        store.close()


async def _opened(runtime: SessionRuntime, session_id: str) -> LocalSession:
    await runtime.create_session(TENANT, SessionSpec(program="qa", id=session_id), None)
    session = LocalSession(runtime, session_id)
    await session.predict(question="Awake?")
    return session


def middle(rounds: list[Round], name: str) -> float:
    """The median of a figure over the rounds."""
    return float(statistics.median(getattr(each, name) for each in rounds))


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=100.0, help="paced turns a second")
    parser.add_argument("--sessions", type=int, default=20, help="sessions with paced turns")
    parser.add_argument("--flood", type=int, default=300, help="turns that the flood queues at once")
    parser.add_argument("--json", type=Path, default=None, help="where the JSON goes instead of benchmarks/results/")
    chosen = parser.parse_args()
    sys.setswitchinterval(SWITCH_S)
    facts = machine.describe()
    found = {name: asyncio.run(measure(lm, chosen)) for name, lm in MODELS.items()}
    shown = Table(title=f"{chosen.rate:.0f} paced turns/s beside {chosen.flood} queued at once in one other session")
    for heading in ("model takes", "", "p50 ms", "p99 ms", "errors", "flood turns/s", "p99 to alone"):
        shown.add_column(heading, justify="right")
    for name, by_kind in found.items():
        alone = middle(by_kind["alone"], "p99_ms")
        for kind, rounds in by_kind.items():
            row = (middle(rounds, "p50_ms"), middle(rounds, "p99_ms"), sum(each.errors for each in rounds))
            pace = middle(rounds, "flood_turns") / chosen.seconds
            shown.add_row(
                name, kind, f"{row[0]:.1f}", f"{row[1]:.1f}", f"{row[2]}", f"{pace:.0f}", f"{row[1] / alone:.2f}"
            )
    Console(width=110).print(shown)
    Console().print(machine.as_line(facts))
    result: dict[str, Any] = {
        "benchmark": "fairness", "machine": facts, "settings": {**vars(chosen), "json": None},
        "rounds": {name: {kind: [asdict(r) for r in rounds] for kind, rounds in by_kind.items()}
                   for name, by_kind in found.items()},
    }  # fmt: skip
    report.say(f"wrote {report.write_json('fairness', result, chosen.json)}")


if __name__ == "__main__":
    main()
