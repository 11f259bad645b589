"""A real PostgreSQL server for tests: a data folder, a port and a socket of its own, gone when the test run ends.

PostgreSQL refuses to run as root: then it runs as the user `postgres`, which its Debian package makes.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks.ports import free_port

MISSING = "missing: PostgreSQL's server (Debian, Ubuntu: apt-get install postgresql)"
ADMIN = "postgres"
START_S = 60.0
POLL_S = 0.05
# Nothing here has to survive a power cut.
FAST = ("fsync=off", "full_page_writes=off", "max_connections=100", "shared_buffers=32MB", "max_wal_size=256MB")


class PostgresServer:
    """One server. `start`, `stop` and `crash` may be called again and again; data and port stay the same."""

    def __init__(self, binaries: Path, folder: Path, as_postgres: list[str], options: tuple[str, ...]) -> None:
        self._binaries, self._folder, self._as_postgres, self._options = binaries, folder, as_postgres, options
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """The server's own database, for its administrator."""
        return self.url_of("postgres", ADMIN)

    def url_of(self, database: str, role: str = "dspex") -> str:
        """The address of a database; by default for a role without rights over the server."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    def init(self) -> None:
        """Make the data folder."""
        options = ("-U", ADMIN, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        command = self._command("initdb", "-D", self._folder / "data", *options)
        subprocess.run(command, check=True, capture_output=True, cwd="/")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = (
            *self._options,
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            f"unix_socket_directories={self._folder}",
        )
        flags = [part for option in options for part in ("-c", option)]
        with (self._folder / "log").open("ab") as log:
            command = self._command("postgres", "-D", self._folder / "data", *flags)
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            _wait(self._process)

    def stop(self) -> None:
        """End it in an orderly way: clients are cut off, transactions rolled back."""
        self._signal(signal.SIGINT)

    def crash(self) -> None:
        """End it at once, without a checkpoint: the next start recovers from the log."""
        self._signal(signal.SIGQUIT)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the administrator; its rows."""
        with psycopg.connect(self.url_of(database, ADMIN), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create_database(self, template: str = "template0") -> str:
        """A database of a new name, as a copy; its name."""
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} OWNER dspex TEMPLATE {template}")
        return name

    def configure(self, name: str, value: str) -> None:
        """Set a parameter of the server, which takes it at once."""
        self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + START_S
        while self.execute(f"SHOW {name}") != [(value,)]:
            assert time.monotonic() < deadline

    def add_role(self, name: str, password: str) -> None:
        """A role that is asked for its password."""
        self.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        rules = self._folder / "data" / "pg_hba.conf"
        rules.write_text(f"host all {name} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        self.execute("SELECT pg_reload_conf()")

    def _command(self, binary: str, *arguments: str | Path) -> list[str]:
        return [*self._as_postgres, str(self._binaries / binary), *map(str, arguments)]

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(START_S)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A server that runs until the block ends; skips the test where PostgreSQL is not installed.

    `durable` leaves the server's own settings, by which commits survive a power cut.
    """
    binaries, as_postgres = _binaries(), _as_postgres()
    folder = Path(tempfile.mkdtemp(prefix="dspex-pg-"))
    if as_postgres:
        shutil.chown(folder, "postgres", "postgres")
    server = PostgresServer(binaries, folder, as_postgres, () if durable else FAST)
    try:
        server.init()
        server.start()
        server.execute("CREATE ROLE dspex LOGIN")
        yield server
    finally:
        server.crash()
        shutil.rmtree(folder)


def _binaries() -> Path:
    on_path = shutil.which("initdb")
    found = [Path(on_path)] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip(MISSING)
    return found[-1].resolve().parent


def _as_postgres() -> list[str]:
    """What a command of the server begins with, so that it runs as an ordinary user and ends with this process."""
    ends_with_us = ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []
    if os.geteuid() != 0:
        return ends_with_us
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip(MISSING)
    if not ends_with_us:
        pytest.skip("missing: setpriv (Debian, Ubuntu: apt-get install util-linux)")
    return [*ends_with_us, "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return
