"""Fencing switched off, for tests that show that a checker notices."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from dspex_actors.resources.journal import Entry
from dspex_actors.store.driver import run

_ADVANCE = "UPDATE session SET seq = ?, turns = coalesce(?, turns) WHERE uid = ? RETURNING uid, tenant, removed_turns"


def drop_keys(store: Path) -> None:
    """From now on the journal of a SQLite store takes a number or a turn id twice: its keys are a fence too."""
    with closing(sqlite3.connect(store, timeout=10)) as connection:
        connection.executescript(
            "BEGIN IMMEDIATE; CREATE TABLE keyless AS SELECT * FROM journal; DROP TABLE journal;"
            "ALTER TABLE keyless RENAME TO journal; COMMIT"
        )


def switch_off(fence: Any) -> None:
    """In this process every lease counts as held, and a session moves to any number."""
    fence._held = held
    fence._advance = advance


def held(_self: Any, _connection: Connection, entries: Sequence[Entry]) -> set[tuple[str, int]]:
    """All of them."""
    return {(entry.unit, entry.epoch) for entry in entries}


def advance(_self: Any, connection: Connection, entries: Sequence[Entry]) -> dict[str, tuple[str, int]]:
    """Whatever the session's number and unit are."""
    moved = [run(connection, _ADVANCE, (entry.seq, entry.turn, entry.uid)) for entry in entries]
    return {uid: (tenant, removed) for rows in moved for uid, tenant, removed in rows}
