"""What a group commit costs: SQLite beside PostgreSQL, 1, 16 and 64 entries a batch.

Each batch is one call of `store.commit`, as a host's writer thread makes it: lease check, sessions, journal, COMMIT.
The rounds of the stores alternate, so that whatever else the machine does hits both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.machine import as_line, describe
from dspex_actors.resources.journal import Entry, Verdict
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.store import SqlStore, open_store
from tests.support.postgres import PostgresServer, postgres_server

SIZES = (1, 16, 64)
DELTA = json.dumps({"inputs": {"question": "What is 2+2?"}, "outputs": {"answer": "4"}, "usage": {}, "pad": "x" * 500})


@dataclass
class Contender:
    """A store, its sessions with the number of their last entry, and how long each commit took."""

    name: str
    store: SqlStore
    sessions: list[SessionRecord]
    numbers: dict[str, int] = field(default_factory=dict)
    took_ms: dict[int, list[float]] = field(default_factory=dict)

    def commit(self, size: int) -> None:
        """One batch, an entry for each of the first `size` sessions."""
        entries = [_entry(session, seq) for session, seq in self._next(size)]
        began = time.perf_counter()
        verdicts = self.store.commit(entries)
        self.took_ms.setdefault(size, []).append((time.perf_counter() - began) * 1_000)
        assert verdicts == [Verdict.COMMITTED] * size

    def _next(self, size: int) -> Iterator[tuple[SessionRecord, int]]:
        for session in self.sessions[:size]:
            self.numbers[session.uid] = self.numbers.get(session.uid, 0) + 1
            yield session, self.numbers[session.uid]


def contender(name: str, url: str) -> Contender:
    """A fresh store with the sessions of the largest batch."""
    store = open_store(url)
    store.create_program("default", ProgramSpec(name="qa", signature="question -> answer"))
    made = [store.create_session("default", SessionSpec(program="qa")).value for _ in range(max(SIZES))]
    store.seed_leases({session.unit: "host-1" for session in made})
    store.warm()
    return Contender(name, store, made)


def _entry(session: SessionRecord, seq: int) -> Entry:
    return Entry(
        session.uid, seq, "turn", seq, f"turn-{seq}", b"h" * 32, DELTA.encode(), time.time_ns() // 1_000,
        unit=session.unit, epoch=1,
    )  # fmt: skip


@contextmanager
def contenders(address: str | None, folder: Path) -> Iterator[list[Contender]]:
    """Both stores; PostgreSQL with its log forced to the disk, as SQLite's is."""
    with ExitStack() as stack:
        base = address or _own_server(stack)
        found = [contender("SQLite FULL", f"sqlite:///{folder / 'store.sqlite3'}")]
        found += [contender(f"PostgreSQL {level}", _database(base, level, stack)) for level in ("on", "off")]
        for each in found:
            stack.enter_context(closing(each.store))
        yield found


def _own_server(stack: ExitStack) -> str:
    server: PostgresServer = stack.enter_context(postgres_server(durable=True))
    return server.url


def _database(base: str, level: str, stack: ExitStack) -> str:
    name = f"commit_{os.getpid()}_{level}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = {level}".encode())
    stack.callback(_drop, base, name)
    return f"{base.rpartition('/')[0]}/{name}"


def _drop(base: str, name: str) -> None:
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def measure(found: list[Contender], rounds: int, batches: int) -> None:
    """All sizes on all stores, in turns."""
    for each in found:
        for _ in range(20):
            for size in SIZES:
                each.commit(size)
        each.took_ms.clear()
    for _ in range(rounds):
        for size in SIZES:
            for each in found:
                for _ in range(batches):
                    each.commit(size)


def table(found: list[Contender]) -> str:
    """Median and 99th percentile, milliseconds; entries a second at the median."""
    lines = ["| Store | entries | p50 ms | p99 ms | entries/s |", "|---|---|---|---|---|"]
    for size in SIZES:
        for each in found:
            took = sorted(each.took_ms[size])
            middle, late = statistics.median(took), took[int(len(took) * 0.99)]
            lines.append(f"| {each.name} | {size} | {middle:.2f} | {late:.2f} | {size / middle * 1_000:,.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and what it was measured on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=100, help="batches of a size, store and round")
    parser.add_argument("--url", help="a PostgreSQL of yours (its own database is left alone); else one is started")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contenders(options.url, Path(folder)) as found:
        measure(found, options.rounds, options.batches)
        print(as_line(describe()))
        print(table(found))


if __name__ == "__main__":
    main()
