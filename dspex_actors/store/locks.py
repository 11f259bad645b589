"""One at a time: locks with a name, for steps that read what is there and then write, in databases with many writers.

SQLite needs none of them: its write transactions queue for one lock anyway.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import BigInteger, Connection, bindparam, func, select

MIGRATION = "migration"
_HOLD = select(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger)))


def hold(connection: Connection, *name: str) -> None:
    """Hold the lock of that name until the transaction ends; waits for whoever holds it."""
    if connection.dialect.name == "postgresql":
        connection.execute(_HOLD, {"key": _key(name)})


def _key(name: tuple[str, ...]) -> int:
    digest = hashlib.blake2b("\0".join(("dspex", *name)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
