"""What SQLite is really sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from dspex_actors.store import SqlStore
from dspex_actors.store.sqlite import SqliteDatabase


def trace(store: SqlStore, heard: Callable[[str], object]) -> None:
    """Hand each statement of the store's writing connection to `heard`, as it starts (before it has any lock)."""
    assert isinstance(store._database, SqliteDatabase)
    with store._database.writer.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_trace_callback(heard)
