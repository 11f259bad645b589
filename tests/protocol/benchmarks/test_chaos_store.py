"""What chaos does to stores: it knows who is inside a transaction, takes leases, and loses the answer to a COMMIT."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from benchmarks.chaos_store import PostgresStore, Relay, SqliteStore, store_under_test

WRITER = """
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
for step in ("BEGIN IMMEDIATE", "COMMIT"):
    store.execute(step)
    print(step, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a store that has leases."""
    with closing(sqlite3.connect(tmp_path / "dspex.sqlite3")) as store:
        store.executescript(
            "PRAGMA journal_mode=WAL; CREATE TABLE lease (unit, epoch, host);"
            "INSERT INTO lease VALUES ('u1', 1, 'a'), ('u2', 4, 'a'), ('u3', 1, 'b')"
        )
    return tmp_path


@pytest.fixture
def writer(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that opens a transaction, and commits it at the next line that it reads."""
    command = [sys.executable, "-c", WRITER, str(home / "dspex.sqlite3")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def say(process: subprocess.Popen[str]) -> str:
    """The next thing that it has done."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_process_is_caught_inside_its_transaction_and_not_after_it(home: Path, writer: subprocess.Popen[str]) -> None:
    """And nobody else is taken for it."""
    store, process = SqliteStore(), psutil.Process(writer.pid)
    assert writer.stdin is not None
    assert say(writer) == "BEGIN IMMEDIATE"
    assert store.in_transaction(process, home)
    assert not store.in_transaction(psutil.Process(), home)
    print(file=writer.stdin, flush=True)
    assert say(writer) == "COMMIT"
    assert not store.in_transaction(process, home)


def test_all_leases_of_a_host_go_to_its_heir(home: Path) -> None:
    """Each under the next epoch."""
    assert SqliteStore().take_leases("a", "c", home) == 2
    with closing(sqlite3.connect(home / "dspex.sqlite3")) as store:
        assert store.execute("SELECT * FROM lease ORDER BY unit").fetchall() == [
            ("u1", 2, "c"), ("u2", 5, "c"), ("u3", 1, "b"),
        ]  # fmt: skip


async def speak(heard: list[bytes], *words: bytes) -> list[bytes]:
    """Say words to a server that echoes, by way of a relay that loses the answer to the next COMMIT."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while word := await reader.read(100):
            heard.append(word)
            writer.write(word)
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        relay = Relay("127.0.0.1", server.sockets[0].getsockname()[1])
        await relay.start()
        cutting = asyncio.ensure_future(relay.cut_next_commit())
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        answers = []
        for word in words:
            writer.write(word)
            answers.append(await reader.read(100))
        writer.close()
        assert await cutting
        await relay.close()
    return answers


def test_the_answer_to_a_commit_is_lost_after_the_server_has_heard_it() -> None:
    """What comes before passes both ways."""
    heard: list[bytes] = []
    assert asyncio.run(speak(heard, b"Q BEGIN", b"Q COMMIT")) == [b"Q BEGIN", b""]
    assert heard == [b"Q BEGIN", b"Q COMMIT"]


def test_the_address_says_which_store_it_is() -> None:
    """SQLite in the server's home without one; what is no PostgreSQL is refused."""
    assert isinstance(store_under_test(None), SqliteStore)
    assert isinstance(store_under_test("postgresql+psycopg://u@h/d"), PostgresStore)
    with pytest.raises(ValueError, match="takes postgresql://"):
        store_under_test("mysql://h/d")
