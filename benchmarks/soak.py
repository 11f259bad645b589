"""Whether a host's memory grows with the turns that it has run: very many of them, in sessions without a history."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.density import AT_ONCE, hosting, name, rss, turn_of
from dspex_actors.embedded.watching import TENANT
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.session import SessionSpec
from dspex_actors.sessions.memory_room import Room
from dspex_actors.sessions.runtime import SessionRuntime

LOOKS = 40
WARM_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen on the way: turns so far, memory of the process in bytes, seconds since the start."""

    turns: int
    rss: int
    s: float


def main() -> None:
    """Measure, print, and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=1_000_000, help="turns in all")
    parser.add_argument("--sessions", type=int, default=1000, help="sessions that they are spread over, all in memory")
    chosen, about = parser.parse_args(), machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'store.sqlite3'}"
        looks = asyncio.run(soak(url, chosen.turns, chosen.sessions))
    warm = [look for look in looks if look.turns >= chosen.turns * WARM_SHARE]
    table = Table(title="Memory of one host")
    for title in ("turns", "sessions", "MB when warm", "MB at the end", "bytes a turn", "turns/s"):
        table.add_column(title, justify="right")
    each = slope(warm)
    table.add_row(
        f"{looks[-1].turns:,}", f"{chosen.sessions:,}", f"{warm[0].rss / 1e6:.1f}", f"{warm[-1].rss / 1e6:.1f}",
        f"{each:.2f}", f"{looks[-1].turns / looks[-1].s:,.0f}",
    )  # fmt: skip
    Console(width=120).print(table)
    report.say(machine.as_line(about))
    found = {"machine": about, "bytes_a_turn": each, "looks": [asdict(look) for look in looks]}
    report.say(f"written: {report.write_json('soak', found, None)}")


async def soak(url: str, turns: int, sessions: int) -> list[Look]:
    """All turns, as many at once as a host likes, with a look now and then."""
    async with hosting(url, Room(idle_s=3600, sessions=sessions)) as (_, runtime, store):
        store.create_program(TENANT, ProgramSpec(name="qa", signature="question -> answer"))
        for number in range(sessions):
            store.create_session(TENANT, SessionSpec(program="qa", id=name(number)))
        began, done, looks = time.monotonic(), 0, list[Look]()
        while done < turns:
            share = min(turns // LOOKS, turns - done)
            await run(runtime, range(done, done + share), sessions)
            done += share
            looks.append(Look(done, rss(), time.monotonic() - began))
            report.say(f"{done:,} turns, {looks[-1].rss / 1e6:.1f} MB after {looks[-1].s:.0f} s")
        return looks


async def run(runtime: SessionRuntime, numbers: range, sessions: int) -> None:
    """These turns, dealt out to the sessions in turn."""
    left = iter(numbers)

    async def worker() -> None:
        for number in left:
            await runtime.predict(
                TENANT, name(number % sessions), turn_of({"question": f"number {number}"}, f"t{number}")
            )

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def slope(looks: Sequence[Look]) -> float:
    """Bytes a turn, of the line that lies best among the looks."""
    return statistics.linear_regression([look.turns for look in looks], [look.rss for look in looks]).slope


if __name__ == "__main__":
    main()
