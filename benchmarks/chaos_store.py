"""A chaos run's store, as the injector sees it: who is in a transaction, leases taken away, connections cut."""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import os
import signal
import sqlite3
import struct
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import psutil

_WAL_WRITE_LOCK = 120
"""The byte of a SQLite -shm file that a writer in WAL mode locks: https://sqlite.org/walformat.html#wal_locks."""
_FLOCK = "hhqqi4x"
_CUT_WITHIN_S = 10.0


class StoreUnderTest(Protocol):
    """What faults need of a store."""

    @property
    def server_url(self) -> str | None:
        """What the server is told to use; None: its own default."""
        ...

    def check_url(self, home: Path) -> str:
        """What the checker reads."""
        ...

    async def start(self) -> None:
        """Before the server starts."""
        ...

    def in_transaction(self, process: psutil.Process, home: Path) -> bool:
        """Whether that process has a write transaction open now; blocks."""
        ...

    def take_leases(self, source: str, heir: str, home: Path) -> int:
        """Give all units of a host to another behind everybody's back; how many; blocks."""
        ...


class SqliteStore:
    """The server's own file in its home."""

    server_url = None

    def check_url(self, home: Path) -> str:
        """The file."""
        return f"sqlite:///{_file(home)}"

    async def start(self) -> None:
        """The server makes the file."""

    def in_transaction(self, process: psutil.Process, home: Path) -> bool:
        """Whether it holds the lock of the log's writer."""
        lock = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _WAL_WRITE_LOCK, 1, 0)
        with open(f"{_file(home)}-shm", "rb+") as file:
            kind, *_, holder = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, lock))
        return bool(kind != fcntl.F_UNLCK and holder == process.pid)

    def take_leases(self, source: str, heir: str, home: Path) -> int:
        """One transaction in the file."""
        with closing(sqlite3.connect(_file(home), timeout=10, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            taken = connection.execute("UPDATE lease SET epoch = epoch + 1, host = ? WHERE host = ?", (heir, source))
            connection.execute("COMMIT")
            return taken.rowcount


class PostgresStore:
    """A PostgreSQL server of the caller's, reached without TLS by way of a relay that can cut connections.

    Args:
        url: `postgresql://…`, whose role may read `data_directory` and `pg_stat_activity` (a superuser).
    """

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self.relay = Relay(parts.hostname or "127.0.0.1", parts.port or 5432)

    @property
    def server_url(self) -> str:
        """The relay's address."""
        parts = urlsplit(self._url)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{self.relay.port}"))

    def check_url(self, home: Path) -> str:
        """Past the relay."""
        return self._url

    async def start(self) -> None:
        """Start the relay."""
        await self.relay.start()

    def in_transaction(self, process: psutil.Process, home: Path) -> bool:
        """Whether a session that came through the relay is idle in a transaction while the process is stopped."""
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()"
        )
        return bool(self._run(waiting)[0][0])

    def take_leases(self, source: str, heir: str, home: Path) -> int:
        """One statement."""
        take = "UPDATE lease SET epoch = epoch + 1, host = %s WHERE host = %s RETURNING unit"
        return len(self._run(take, (heir, source)))

    def restart(self) -> float:
        """Stop it as a crash would and start it with its own options; blocks. Gives `perf_counter()` of the stop."""
        folder = self._folder()
        binary = Path((folder / "postmaster.opts").read_text().split()[0])
        user = {} if folder.stat().st_uid == os.getuid() else {"user": folder.owner()}
        stopped = time.perf_counter()
        os.kill(int((folder / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        command = [binary.with_name("pg_ctl"), "restart", "-D", folder, "-m", "immediate", "-w", "-s"]
        subprocess.run([*command, "-l", folder / "chaos.log"], check=True, timeout=60, cwd="/", **user)  # type: ignore[call-overload]
        return stopped

    def stop(self) -> None:
        """End the server as a crash would, also one that `restart` has started; blocks."""
        server = psutil.Process(int((self._folder() / "postmaster.pid").read_text().split()[0]))
        server.send_signal(signal.SIGQUIT)
        psutil.wait_procs([server], timeout=60)

    def _folder(self) -> Path:
        return Path(self._run("SHOW data_directory")[0][0])

    def _run(self, statement: str, values: tuple[str, ...] = ()) -> list[Any]:
        psycopg = importlib.import_module("psycopg")
        parts = urlsplit(self._url)
        address = urlunsplit(parts._replace(scheme="postgresql"))
        with psycopg.connect(address) as connection:
            return list(connection.execute(statement, values).fetchall())


class Relay:
    """Passes bytes between the server and PostgreSQL; can lose the answer to a COMMIT together with the connection."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._cut: asyncio.Future[None] | None = None
        self._server: asyncio.Server
        self._passing: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen on loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def close(self) -> None:
        """Stop listening and passing."""
        self._server.close()
        passing = list(self._passing)
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)

    async def cut_next_commit(self) -> bool:
        """Wait for a COMMIT, let it through, and close the connection before its answer; whether one came in time."""
        self._cut = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(self._cut, _CUT_WITHIN_S)
        except TimeoutError:
            return False
        finally:
            self._cut = None
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs_in, theirs_out = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        back = asyncio.ensure_future(_pass(theirs_in, writer))
        self._passing.add(back)
        back.add_done_callback(self._passing.discard)
        try:
            while data := await reader.read(65536):
                if self._cut is not None and not self._cut.done() and b"COMMIT" in data:
                    self._cut.set_result(None)
                    back.cancel()  # from here on its answer goes nowhere
                    await asyncio.gather(back, return_exceptions=True)
                    theirs_out.write(data)
                    await theirs_out.drain()
                    await theirs_in.read(1)  # it has answered
                    break
                theirs_out.write(data)
                await theirs_out.drain()
        except OSError:
            pass
        finally:
            back.cancel()
            for stream in (writer, theirs_out):
                stream.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _file(home: Path) -> Path:
    return home / "dspex.sqlite3"


def store_under_test(url: str | None) -> StoreUnderTest:
    """The store of that address; SQLite in the server's home without one.

    Raises:
        ValueError: It is another kind of address.
    """
    if url is None:
        return SqliteStore()
    if urlsplit(url).scheme.partition("+")[0] == "postgresql":
        return PostgresStore(url)
    raise ValueError("--store-url takes postgresql://…; leave it out for SQLite in the server's own folder")
