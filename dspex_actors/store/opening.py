"""Opening a store: the database, the schema, the identity, in this order."""

from __future__ import annotations

from sqlalchemy import URL

from dspex_actors.clock import Clock, SystemClock
from dspex_actors.errors import InvalidRequest, StoreUnavailable
from dspex_actors.store import identity, revision
from dspex_actors.store.database import Database, parse_url
from dspex_actors.store.schema import REVISION, metadata
from dspex_actors.store.sql import SqlStore
from dspex_actors.store.sqlite import SqliteDatabase, file_of, make_file

BUSY_TIMEOUT_S = 5.0


def open_store(
    url: str,
    *,
    clock: Clock | None = None,
    create: bool = True,
    expect_store_id: str | None = None,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    owner: str | None = None,
) -> SqlStore:
    """Open the store at an address, after migrating an older schema to this program's.

    Args:
        url: `sqlite:///<file>`, `sqlite://` for one in memory that ends with the returned object, or
            `postgresql://<user>@<host>:<port>/<database>`.
        clock: The time for records; the machine's by default.
        create: Make the folder (mode 0700), the file (mode 0600) and the schema where they are missing. A database of
            PostgreSQL must be there.
        expect_store_id: The only store to accept.
        busy_timeout_s: How long a call waits for another process's transaction, in seconds.
        owner: The name of the host that opens it, if one does: PostgreSQL shows it, and a takeover of its leases finds
            its connections by it.

    Raises:
        InvalidRequest: The address is none of a store, or its driver is not installed.
        StoreUnavailable: It cannot be reached, does not exist, is another one than expected, or was written by a newer
            program.
    """
    parsed = parse_url(url)
    database = _database(parsed, create, busy_timeout_s, owner)
    try:
        if parsed.get_backend_name() == "sqlite" and file_of(parsed) is None:
            _fill_memory(database)
        else:
            _bring_up(database, create, expect_store_id)
        return _connected(database, clock or SystemClock(), expect_store_id)
    except BaseException:
        database.close()
        raise


def _database(url: URL, create: bool, busy_timeout_s: float, owner: str | None) -> Database:
    if url.get_backend_name() == "sqlite":
        _provide_file(url, create)
        return SqliteDatabase(url, busy_timeout_s)
    try:
        from dspex_actors.store.postgres import PostgresDatabase
    except ImportError as fault:
        msg = "PostgreSQL needs its driver, which is not installed: pip install 'dspex-actors[postgres]'"
        raise InvalidRequest(msg + ".", errors=[{"loc": ["store_url"], "msg": msg, "type": "driver"}]) from fault
    return PostgresDatabase(url, busy_timeout_s, owner)


def _connected(database: Database, clock: Clock, expected: str | None) -> SqlStore:
    with database.read() as connection:
        identity.check(connection, expected)
        return SqlStore(database, clock, identity.read(connection))


def _fill_memory(database: Database) -> None:
    # Nothing here is ever migrated, so `dx.local()` need not wait for alembic's import; a test compares the schemas.
    with database.write() as connection:
        metadata.create_all(connection)
        identity.give(connection)


def _bring_up(database: Database, create: bool, expected: str | None) -> None:
    with database.read() as connection:
        current = revision.found(connection)
        revision.check(current)
        if current is None and not create:
            raise _no_store()
        if current is not None:
            identity.check(connection, expected)
    if current != REVISION:
        _migrate(database)


def _migrate(database: Database) -> None:
    with database.migration() as connection:
        # Another process may have migrated while this one waited for the lock.
        current = revision.found(connection)
        revision.check(current)
        if current != REVISION:
            revision.upgrade(connection)
            identity.give(connection)


def _provide_file(url: URL, create: bool) -> None:
    path = file_of(url)
    if path is None or path.exists():
        return
    if not create:
        raise _no_store()
    make_file(path)


def _no_store() -> StoreUnavailable:
    return StoreUnavailable("There is no store at this address; start `dspex serve` once to create it.")
