"""PostgreSQL: connections, transactions, and what a database fault becomes. Needs the extra `postgres` (psycopg 3).

Writers run at READ COMMITTED: a statement that waited for a lock sees the row as it is then, which the fence relies on.
Readers are read-only and in autocommit, so that none of them is ever idle in a transaction. A host that freezes inside
a transaction is cut off by the server after 500 ms; a takeover does not even wait for that.
"""

from __future__ import annotations

import hashlib
import logging
import select
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dspex_actors.errors import DspexError, InvalidRequest, StoreUnavailable
from dspex_actors.store.locks import MIGRATION, hold
from dspex_actors.store.suspects import end_lock_holders

log = logging.getLogger(__name__)

T = TypeVar("T")

WRITERS = 2
READERS = 4
"""Connections of a process at most; they are opened when they are needed."""
IDLE_MS = 500
"""How long an owner of leases, or a takeover, may be idle in a transaction."""
OTHERS_IDLE_MS = 2_000
"""The others lock no lease: a machine short of processors need not fail their requests."""
LOST_PEER_MS = 5_000
TAKEOVER_LOCK_MS = 150
MIGRATION_LOCK_S = 120
_KEEPALIVES = {"idle": 2, "interval": 1, "count": 3}
_SETTINGS = {
    "tcp_user_timeout": LOST_PEER_MS,
    **{f"tcp_keepalives_{name}": value for name, value in _KEEPALIVES.items()},
}
_IDLE = "idle_in_transaction_session_timeout"
_TAKEOVER = f"SET LOCAL {_IDLE} = {IDLE_MS}; SET LOCAL lock_timeout = {TAKEOVER_LOCK_MS}"
_NAME_BYTES = 63
_OF_OPERATORS = (errors.InsufficientPrivilege, errors.UndefinedTable, errors.DuplicateTable, errors.InvalidSchemaName)
_OURS = (psycopg.IntegrityError, psycopg.ProgrammingError, psycopg.DataError)


class PostgresDatabase:
    """One PostgreSQL database. Thread-safe.

    `owner` is the name of a host: `pg_stat_activity` shows it, and a takeover finds by it what must not hold it up.
    """

    def __init__(self, url: URL, busy_timeout_s: float, owner: str | None = None) -> None:
        self._closed = False
        self._busy_timeout_s = busy_timeout_s
        arguments = _arguments(url, busy_timeout_s, owner)
        idle_ms = OTHERS_IDLE_MS if owner is None else IDLE_MS
        settings = {**_SETTINGS, _IDLE: idle_ms, "lock_timeout": round(busy_timeout_s * 1_000)}
        self.writer = _engine(url, WRITERS, arguments, busy_timeout_s, "READ COMMITTED", settings)
        settings = {**settings, "default_transaction_read_only": 1}
        self._reader = _engine(url, READERS, arguments, busy_timeout_s, "AUTOCOMMIT", settings)
        self.dialect = self.writer.dialect

    def close(self) -> None:
        """Close every connection; later calls raise StoreUnavailable."""
        self._closed = True
        self._reader.dispose()
        self.writer.dispose()

    def warm(self, readers: int) -> None:
        """Open that many connections for reading, and one for writing.

        Raises:
            StoreUnavailable: The database cannot be reached.
        """
        with self._faults(), ExitStack() as opened:
            opened.enter_context(self.writer.connect())
            for _ in range(min(readers, READERS)):
                opened.enter_context(self._reader.connect())

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction.

        Raises:
            StoreUnavailable: The database cannot be reached, a lock was not given in time, or others came first
                (a deadlock): the same transaction may succeed when it is repeated.
        """
        with self._faults(), self.writer.begin() as connection, _dropped_when_lost(connection):
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read from; each statement sees one committed state.

        Raises:
            StoreUnavailable: The database cannot be reached.
        """
        with self._faults(), self._reader.connect() as connection, _dropped_when_lost(connection):
            yield connection

    def takeover(self, suspects: Collection[str], work: Callable[[Connection], T]) -> T:
        """What `work` gives in a transaction. Where a suspect holds a lock of a lease, its connection is ended.

        Args:
            suspects: Names of processes (`owner`) that are taken for lost.
            work: Called again, in another transaction, when a lock was not given.

        Raises:
            StoreUnavailable: The database cannot be reached, or another process than the suspects holds the lock.
        """
        deadline = time.monotonic() + self._busy_timeout_s
        names = [application_name(name) for name in suspects]
        while True:
            try:
                with self.write() as connection:
                    connection.exec_driver_sql(_TAKEOVER)
                    return work(connection)
            except StoreUnavailable as fault:
                if not _is_lock_refused(fault) or time.monotonic() > deadline:
                    raise
            with self.write() as connection:
                for name in end_lock_holders(connection, names):
                    log.warning("the connection of %s was ended: it held a lease that is taken over", name)

    @contextmanager
    def migration(self) -> Iterator[Connection]:
        """A transaction that no other process's migration runs beside.

        Raises:
            StoreUnavailable: The database cannot be reached, the role may not create tables, or another process has
                been migrating for two minutes.
        """
        with self.write() as connection:
            # Alembic's import alone may take longer than a host's transaction may idle.
            connection.exec_driver_sql(f"SET LOCAL {_IDLE} = 0")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{MIGRATION_LOCK_S}s'")
            hold(connection, MIGRATION)
            yield connection

    @contextmanager
    def _faults(self) -> Iterator[None]:
        if self._closed:
            raise StoreUnavailable("The store is closed. Open it again.")
        try:
            yield
        except DBAPIError as fault:
            if (known := _translated(fault.orig)) is None:
                raise
            raise known from fault
        except psycopg.Error as fault:  # From driver.py, which goes around SQLAlchemy.
            if (known := _translated(fault)) is None:
                raise
            raise known from fault
        except PoolTimeout as fault:
            raise StoreUnavailable(_sentence("every connection is busy")) from fault


def application_name(owner: str | None) -> str:
    """How a process shows in `pg_stat_activity`: with its name, or with a digest of one that is too long."""
    if owner is None:
        return "dspex"
    name = f"dspex {owner}"
    if len(name.encode()) <= _NAME_BYTES and name.isascii():
        return name
    return f"dspex {hashlib.blake2b(owner.encode(), digest_size=16).hexdigest()}"


def _arguments(url: URL, busy_timeout_s: float, owner: str | None) -> dict[str, Any]:
    """What libpq is given beside the address. Raises InvalidRequest for an address with an option that is none."""
    arguments: dict[str, Any] = {
        "application_name": application_name(owner),
        "client_encoding": "utf8",
        "connect_timeout": max(2, round(busy_timeout_s)),
        "tcp_user_timeout": LOST_PEER_MS,
        "keepalives": 1,
        **{f"keepalives_{name}": value for name, value in _KEEPALIVES.items()},
    }
    try:
        make_conninfo(**url.translate_connect_args(username="user", database="dbname"), **{**arguments, **url.query})
    except psycopg.Error as fault:
        msg = f"DSPEX_STORE_URL has an option that PostgreSQL does not know: {_first_line(fault)}"
        raise InvalidRequest(msg + ".", errors=[{"loc": ["store_url"], "msg": msg, "type": "url"}]) from None
    return arguments


def _engine(
    url: URL,
    connections: int,
    arguments: dict[str, Any],
    busy_timeout_s: float,
    isolation: Any,  # SQLAlchemy's own names of levels
    settings: dict[str, int],
) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=busy_timeout_s,
        pool_use_lifo=True,
        paramstyle="format",
        isolation_level=isolation,
        hide_parameters=True,
        connect_args=arguments,
    )
    prepared = "; ".join(f"SET {name} = {value}" for name, value in settings.items())

    def prepare(connection: psycopg.Connection[Any], _record: object) -> None:
        before, connection.autocommit = connection.autocommit, True
        connection.execute(prepared.encode())
        connection.autocommit = before

    event.listen(engine, "connect", prepare)
    event.listen(engine, "checkout", _check_alive)
    return engine


def _check_alive(connection: psycopg.Connection[Any], _record: object, _proxy: object) -> None:
    """Nobody speaks to an idle connection except to end it: a look at the socket, instead of a query each time."""
    if connection.closed:
        raise InvalidatePoolError("closed")
    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN)
    if socket.poll(0):
        raise InvalidatePoolError("ended by the server")


@contextmanager
def _dropped_when_lost(connection: Connection) -> Iterator[None]:
    try:
        yield
    except psycopg.Error:
        if not connection.invalidated and getattr(connection.connection.driver_connection, "closed", False):
            connection.invalidate()
        raise


def _translated(fault: BaseException | None) -> DspexError | None:
    """The error that a caller gets; None for a fault of the statement or its values."""
    if isinstance(fault, psycopg.DataError) and fault.sqlstate is None and "NUL" in str(fault):
        return InvalidRequest("A text of this request holds the character NUL; remove it.")
    if isinstance(fault, _OURS) and not isinstance(fault, _OF_OPERATORS):
        return None
    return StoreUnavailable(_sentence(_first_line(fault)))


def _is_lock_refused(fault: StoreUnavailable) -> bool:
    causes: list[BaseException | None] = [fault.__cause__, getattr(fault.__cause__, "orig", None)]
    return any(isinstance(cause, errors.LockNotAvailable | errors.DeadlockDetected) for cause in causes)


def _first_line(fault: BaseException | None) -> str:
    return (str(fault).strip() or type(fault).__name__).splitlines()[0].rstrip(".")


def _sentence(cause: str) -> str:
    return (
        f"The store cannot be used: {cause}. Nothing was acknowledged; try again, and check the PostgreSQL server "
        "(DSPEX_STORE_URL) if it lasts."
    )
