"""Fencing switched off, for tests that show that a checker notices: patches this process, and one store's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

from sqlalchemy import Connection

from dspex_actors.resources.journal import Entry
from dspex_actors.store.driver import run
from dspex_actors.store.fence import Fence

_ADVANCE = "UPDATE session SET seq = ?, turns = coalesce(?, turns) WHERE uid = ? RETURNING uid, tenant"


@contextmanager
def unfenced(store: Path) -> Iterator[None]:
    """Every lease counts as held, a session moves to any number, and the journal takes a number or a key twice."""
    with closing(sqlite3.connect(store, timeout=10)) as connection:
        connection.executescript(
            "CREATE TABLE keyless AS SELECT * FROM journal; DROP TABLE journal; ALTER TABLE keyless RENAME TO journal"
        )
    with patch.object(Fence, "_held", _held), patch.object(Fence, "_advance", _advance):
        yield


def _held(_self: Fence, _connection: Connection, entries: Sequence[Entry]) -> set[tuple[str, int]]:
    return {(entry.unit, entry.epoch) for entry in entries}


def _advance(_self: Fence, connection: Connection, entries: Sequence[Entry]) -> dict[str, str]:
    moved = [run(connection, _ADVANCE, (entry.seq, entry.turn, entry.uid)) for entry in entries]
    return {uid: tenant for rows in moved for uid, tenant in rows}
