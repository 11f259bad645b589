"""Opening a store in a file: what is SQLite's alone."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from dspex_actors.errors import StoreUnavailable
from dspex_actors.store import SqlStore, open_store
from dspex_actors.store.schema import metadata
from tests.protocol.store.making import make_session, turn_of


def test_a_new_store_is_its_owners_alone(sqlite_url: str) -> None:
    """File 0600, folder 0700, and so what SQLite puts beside the file."""
    store = open_store(sqlite_url)
    store.take_term()
    home = path_of(sqlite_url).parent
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert "dspex.sqlite3-wal" in modes
    store.close()


def test_commits_of_a_warm_store_do_not_lengthen_its_log(sqlite_store: SqlStore, sqlite_url: str) -> None:
    """Lengthening a file makes a synchronous commit several times as slow; warming twice is as good as once."""
    session = make_session(sqlite_store)
    log = path_of(sqlite_url).with_name("dspex.sqlite3-wal")
    before = log.stat().st_size
    sqlite_store.warm()
    reserved = log.stat().st_size
    sqlite_store.warm()
    sqlite_store.commit([turn_of(session, 1)])
    assert before < reserved == log.stat().st_size


def test_warming_leaves_the_schema_as_it_was(sqlite_store: SqlStore, sqlite_url: str) -> None:
    """What filled the log is gone, also what a process left that was killed half-way."""
    sqlite_store.warm()
    with sqlite3.connect(path_of(sqlite_url)) as connection:
        connection.execute("CREATE TABLE filler (pages BLOB)")
    connection.close()
    sqlite_store.warm()
    with sqlite3.connect(path_of(sqlite_url)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {*metadata.tables, "alembic_version"}
    connection.close()


def test_two_stores_differ_in_name_and_key() -> None:
    """Both are random; and what is in memory is nobody else's."""
    first, second = open_store("sqlite://"), open_store("sqlite://")
    assert first.store_id != second.store_id
    assert first.stream_key != second.stream_key
    first.close()
    second.close()


def test_nothing_is_created_unasked(sqlite_url: str, tmp_path: Path) -> None:
    """A missing file, or an empty one, is no store."""
    with pytest.raises(StoreUnavailable, match="dspex serve"):
        open_store(sqlite_url, create=False)
    assert list(tmp_path.iterdir()) == []
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(StoreUnavailable, match="dspex serve"):
        open_store(f"sqlite:///{empty}", create=False)
    assert empty.stat().st_size == 0


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """With the setting to change."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="DSPEX_HOME"):
        open_store(f"sqlite:///{tmp_path / 'file' / 'home' / 'db'}")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """As what it is."""
    path = tmp_path / "text"
    path.write_text("hello " * 500)
    with pytest.raises(StoreUnavailable, match="not a database"):
        open_store(f"sqlite:///{path}")


def test_a_locked_store_is_unavailable_and_comes_back(sqlite_url: str) -> None:
    """Another process holds the lock for longer than we wait; afterwards all works again."""
    store = open_store(sqlite_url, busy_timeout_s=0.05)
    rival = sqlite3.connect(path_of(sqlite_url), isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"locked.*Nothing was acknowledged"):
        store.take_term()
    store.ping()
    rival.close()
    assert store.take_term() == 1
    store.close()


def path_of(url: str) -> Path:
    """The file of that address."""
    return Path(url.removeprefix("sqlite:///"))
