"""How many sessions one host holds: open in the store, and in memory, with what each costs beyond its program."""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from dspex_actors.embedded.local import LocalTurns
from dspex_actors.embedded.operations import LocalOperations
from dspex_actors.embedded.watching import TENANT
from dspex_actors.ids import body_hash
from dspex_actors.lm.models import Models
from dspex_actors.programs.catalogue import Programs
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.session import SessionSpec
from dspex_actors.resources.turn import TurnRequest
from dspex_actors.sessions.host import Host
from dspex_actors.sessions.limits import HostLimits
from dspex_actors.sessions.memory_room import Room
from dspex_actors.sessions.runtime import SessionRuntime
from dspex_actors.store import Page, Store, open_store

QUESTION = "What did we say about the second quarter, and what is still open of it?"
AT_ONCE = 64
WARM = 64


@dataclass(frozen=True, slots=True)
class Density:
    """What was found.

    Args:
        open: Sessions in the store.
        in_memory: Of those, how many the host had in memory.
        turns: Turns that each of these has had.
        bytes_each: Memory that the process has more for each session in memory.
        woken_ms: To wake one of them and run a turn in it, on average, many at a time.
        stayed: How many were still in memory after they had been idle.
    """

    open: int
    in_memory: int
    turns: int
    bytes_each: float
    woken_ms: float
    stayed: int


def main() -> None:
    """Measure, print, and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, default=100_000, help="sessions in the store")
    parser.add_argument("--in-memory", type=int, default=10_000, help="sessions in memory")
    parser.add_argument("--turns", type=int, default=20, help="turns of each session in memory")
    chosen, about = parser.parse_args(), machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'store.sqlite3'}"
        # Another process gives them their past: what this one had for that would be taken for free memory.
        past = multiprocessing.get_context("spawn").Process(
            target=begin, args=(url, chosen.open, chosen.in_memory, chosen.turns)
        )
        past.start()
        past.join()
        found = asyncio.run(weigh(url, chosen.in_memory, chosen.turns))
    table = Table(title="Sessions on one host")
    for name in ("open", "in memory", "turns each", "KB each", "ms to wake and answer", "stayed when idle"):
        table.add_column(name, justify="right")
    table.add_row(
        f"{found.open:,}", f"{found.in_memory:,}", str(found.turns), f"{found.bytes_each / 1000:.1f}",
        f"{found.woken_ms:.2f}", str(found.stayed),
    )  # fmt: skip
    Console(width=120).print(table)
    report.say(machine.as_line(about))
    report.say(f"written: {report.write_json('density', {'machine': about, 'density': asdict(found)}, None)}")


@asynccontextmanager
async def hosting(url: str, room: Room) -> AsyncIterator[tuple[Host, SessionRuntime, Store]]:
    """One host in this process."""
    store, models = open_store(url), Models("mock", None, None)
    programs = Programs(models, ())
    host = Host("density", store, programs, limits=HostLimits(room))
    local = LocalTurns(host)
    local.take(store)
    runtime = SessionRuntime(store, local, programs, models, LocalOperations(host))
    try:
        yield host, runtime, store
    finally:
        await host.close()
        runtime.close()
        store.close()


def begin(url: str, many: int, talkers: int, turns: int) -> None:
    """Create the sessions, and give some of them a past."""

    async def work() -> None:
        async with hosting(url, Room(sessions=talkers)) as (_, runtime, store):
            spec = ProgramSpec(name="qa", signature="question, history: dspy.History -> answer")
            store.create_program(TENANT, spec)
            began = time.monotonic()
            for number in range(many):
                store.create_session(TENANT, SessionSpec(program="qa", id=name(number)))
            report.say(f"{many} sessions created in {time.monotonic() - began:.0f} s")
            for number in range(turns):
                await talk(runtime, range(talkers), f"t{number}")
                report.say(f"turn {number + 1} of {turns}")

    asyncio.run(work())


async def weigh(url: str, talkers: int, turns: int) -> Density:
    """Memory before, and with all of them in memory."""
    async with hosting(url, Room(idle_s=3600, sessions=talkers + WARM)) as (host, runtime, store):
        await talk(runtime, range(talkers, talkers + WARM), "warm")
        before, there = rss(), host.load().sessions
        began = time.monotonic()
        await talk(runtime, range(talkers), "awake")
        woken_ms = (time.monotonic() - began) * 1000 / talkers
        bytes_each, there = (rss() - before) / talkers, host.load().sessions - there
        host._room._room = Room(idle_s=0.1, sessions=1)
        await leave(host)
        many = count(store)
        return Density(many, there, turns, bytes_each, woken_ms, host.load().sessions)


def count(store: Store) -> int:
    """How many sessions the store has."""
    found, cursor = 0, None
    while True:
        page = store.list_sessions(TENANT, Page(limit=200, cursor=cursor))
        found, cursor = found + len(page.items), page.next_cursor
        if cursor is None:
            return found


async def leave(host: Host) -> None:
    """Until no session is in memory, at most a minute."""
    until = time.monotonic() + 60
    while host.load().sessions and time.monotonic() < until:  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.1)


async def talk(runtime: SessionRuntime, numbers: Iterable[int], key: str) -> None:
    """A turn each, a few at a time."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with limit:
            await runtime.predict(TENANT, name(number), turn_of({"question": QUESTION}, key))

    await asyncio.gather(*(one(number) for number in numbers))


def name(number: int) -> str:
    """The id of a session."""
    return f"s{number}"


def turn_of(inputs: dict[str, Any], key: str) -> TurnRequest:
    """A turn without a stream."""
    return TurnRequest(key, True, body_hash("turn", inputs), orjson.dumps(inputs), 600.0)


def rss() -> int:
    """What the process has, after the collector has been."""
    gc.collect()
    return int(psutil.Process(os.getpid()).memory_info().rss)


if __name__ == "__main__":
    main()
