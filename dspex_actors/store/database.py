"""A database as the store uses it, and what addresses there are.

`sqlite.py` and `postgres.py` are the two there are; `opening.py` chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from sqlalchemy import URL, Connection, Dialect, make_url
from sqlalchemy.exc import ArgumentError

from dspex_actors.errors import InvalidRequest

T = TypeVar("T")

SQLITE = ("sqlite", "sqlite+pysqlite")
POSTGRES = ("postgresql", "postgresql+psycopg")


class Database(Protocol):
    """One database. Thread-safe. A fault that is not the caller's becomes StoreUnavailable, and later calls connect
    again by themselves."""

    dialect: Dialect

    def close(self) -> None:
        """Close every connection; later calls raise StoreUnavailable."""
        ...

    def warm(self, readers: int) -> None:
        """Do ahead what the first transactions would otherwise pay for, and open that many connections for reading."""
        ...

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction that sees, behind each lock it waited for, what the one before it committed."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """A connection to read from; each statement sees one committed state."""
        ...

    def takeover(self, suspects: Collection[str], work: Callable[[Connection], T]) -> T:
        """What `work` gives in a write transaction, which processes named in `suspects` do not hold up for long."""
        ...

    def migration(self) -> AbstractContextManager[Connection]:
        """A write transaction for a change of the schema, one at a time over all processes."""
        ...


def parse_url(url: str) -> URL:
    """The address of a store: `sqlite:///<file>`, `sqlite://` for one in memory, `postgresql://<user>@<host>/<database>`.

    Raises:
        InvalidRequest: It is something else.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or not (_is_sqlite(parsed) or _is_postgres(parsed)):
        msg = (
            "The store's address must be sqlite:///<file>, sqlite:// for one in memory, or "
            "postgresql://<user>@<host>:<port>/<database>; set DSPEX_STORE_URL"
        )
        raise InvalidRequest(msg + ".", errors=[{"loc": ["store_url"], "msg": msg, "type": "url"}])
    if (password := parsed.query.get("password")) is not None:
        # SQLAlchemy hides it only in its own place.
        return parsed.difference_update_query(["password"]).set(password=str(password))
    return parsed


def _is_sqlite(url: URL) -> bool:
    return url.drivername in SQLITE and not url.query and not url.host


def _is_postgres(url: URL) -> bool:
    return url.drivername in POSTGRES and bool(url.database)
