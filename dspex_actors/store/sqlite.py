"""SQLite: connections, transactions, and what a database fault becomes.

Two engines on one file. The writer has one connection whose transactions all start with BEGIN IMMEDIATE: a deferred
one could read a lease, wait, and commit under an epoch that is gone. Readers refuse to write (`query_only`), so no
other kind of write transaction exists. A store in memory has one connection for both.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dspex_actors.errors import StoreUnavailable
from dspex_actors.store import driver

T = TypeVar("T")

READERS = 8
_FAULTS_OF_OURS = (IntegrityError, ProgrammingError, DataError, sqlite3.IntegrityError, sqlite3.ProgrammingError)
TAKEOVER_POLL_S = 0.001
LOG_PAGES = 4096
"""SQLite starts its log file again from the beginning when that many pages are in it."""
_PAGE_BYTES = 4096
_DURABLE = ("journal_mode=WAL", "synchronous=FULL", f"wal_autocheckpoint={LOG_PAGES}", "cache_size=-32768")


def file_of(url: URL) -> Path | None:
    """The file of a store; None for one in memory."""
    return Path(url.database).absolute() if url.database and url.database != ":memory:" else None


def make_file(path: Path) -> None:
    """Create an empty store file that only its owner reads, and its folder, where they are missing.

    Raises:
        StoreUnavailable: The place cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError as fault:
        msg = f"The store {path} cannot be created: {fault.strerror}. Choose another data folder (DSPEX_HOME)."
        raise StoreUnavailable(msg) from fault


class SqliteDatabase:
    """One SQLite database. Thread-safe; writers queue for one connection, and for the file's lock."""

    def __init__(self, url: URL, busy_timeout_s: float) -> None:
        self._closed, self._busy_timeout_s = False, busy_timeout_s
        self._file = file_of(url)
        in_memory = self._file is None
        self.writer = _engine(url, 1, busy_timeout_s, () if in_memory else _DURABLE)
        self.dialect = self.writer.dialect
        event.listen(self.writer, "begin", _begin_immediate)
        self._reader = self.writer
        if not in_memory:
            self._reader = _engine(url, READERS, busy_timeout_s, ("query_only=ON",), autocommit=True)

    def close(self) -> None:
        """Close every connection; later calls raise StoreUnavailable."""
        self._closed = True
        self._reader.dispose()
        self.writer.dispose()

    def warm(self, readers: int) -> None:
        """Open that many connections for reading, and make the log file as long as it gets.

        Opening one takes as long as ten activations, and a commit that has to lengthen the log three times as long as
        others. What fills the log are pages that the database keeps as free ones; it takes the write lock for about
        0.1 s.

        Raises:
            StoreUnavailable: The database cannot be reached or stays locked.
        """
        if self._file is None:
            return
        with self._faults(), ExitStack() as opened:
            for _ in range(readers):
                opened.enter_context(self._reader.connect())
        log = Path(f"{self._file}-wal")
        if not log.exists() or log.stat().st_size < LOG_PAGES * _PAGE_BYTES:
            self._fill_log()
        # A transaction of its own, in one with the filling nothing reaches the file; and always, because the process
        # that filled the log may have been killed before this.
        with self.write() as connection:
            driver.run(connection, "DROP TABLE IF EXISTS filler", ())

    def _fill_log(self) -> None:
        with self.write() as connection:
            driver.run(connection, "CREATE TABLE IF NOT EXISTS filler (pages BLOB)", ())
            driver.run(connection, "INSERT INTO filler VALUES (zeroblob(?))", (LOG_PAGES * _PAGE_BYTES,))

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction: holds the database's write lock from its first moment.

        Raises:
            StoreUnavailable: The database cannot be reached or stays locked.
        """
        with self._faults(), self.writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read from; each statement sees one committed state.

        Raises:
            StoreUnavailable: The database cannot be reached.
        """
        with self._faults(), self._reader.connect() as connection:
            yield connection

    def takeover(self, suspects: Collection[str], work: Callable[[Connection], T]) -> T:
        """What `work` gives in a write transaction. `suspects` are not looked for: a frozen process that holds the
        file's lock is ended by whoever declared it lost.

        A host that was killed in a transaction lets go of the lock some milliseconds later; SQLite's own wait looks
        again after 5, then 10, then 15 ms.

        Raises:
            StoreUnavailable: The database cannot be reached or stays locked.
        """
        deadline_s = time.monotonic() + self._busy_timeout_s
        with self._faults(), self.writer.connect() as connection, _impatient(connection, self._busy_timeout_s):
            while True:
                try:
                    with connection.begin():
                        return work(connection)
                except sqlite3.OperationalError as fault:
                    if fault.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                        raise
                time.sleep(TAKEOVER_POLL_S)

    def migration(self) -> AbstractContextManager[Connection]:
        """A write transaction: there is only one at a time anyway.

        Raises:
            StoreUnavailable: The database cannot be reached or stays locked.
        """
        return self.write()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        if self._closed:
            raise StoreUnavailable("The store is closed. Open it again.")
        try:
            yield
        except _FAULTS_OF_OURS:
            raise
        except DBAPIError as fault:
            raise StoreUnavailable(_sentence(str(fault.orig))) from fault
        except sqlite3.Error as fault:  # From driver.py, which goes around SQLAlchemy.
            raise StoreUnavailable(_sentence(str(fault))) from fault
        except PoolTimeout as fault:
            raise StoreUnavailable(_sentence("every connection is busy")) from fault


def _sentence(cause: str) -> str:
    return f"The store cannot be used: {cause}. Nothing was acknowledged; try again, and check the disk if it lasts."


def _engine(
    url: URL, connections: int, busy_timeout_s: float, pragmas: tuple[str, ...], *, autocommit: bool = False
) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=busy_timeout_s,
        connect_args={"check_same_thread": False, "cached_statements": 512},
        **({"isolation_level": "AUTOCOMMIT"} if autocommit else {}),
    )

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The driver would send a deferred BEGIN of its own otherwise.
        connection.isolation_level = None
        for pragma in (f"busy_timeout={round(busy_timeout_s * 1_000)}", *pragmas):
            connection.execute(f"PRAGMA {pragma}").close()

    event.listen(engine, "connect", prepare)
    return engine


@contextmanager
def _impatient(connection: Connection, busy_timeout_s: float) -> Iterator[None]:
    """Meanwhile a lock that is not free is told at once."""
    driver.run(connection, "PRAGMA busy_timeout=0", ())
    try:
        yield
    finally:
        driver.run(connection, f"PRAGMA busy_timeout={round(busy_timeout_s * 1_000)}", ())


def _begin_immediate(connection: Connection) -> None:
    driver.run(connection, "BEGIN IMMEDIATE", ())
