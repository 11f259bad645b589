"""Opening a store: files, schemas, identities."""

from __future__ import annotations

import logging
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from dspex_actors.errors import InvalidRequest, StoreUnavailable
from dspex_actors.store import SqlStore, open_store
from dspex_actors.store.schema import REVISION, metadata
from tests.protocol.store.making import make_session, turn_of


def test_a_new_store_is_its_owners_alone(url: str) -> None:
    """File 0600, folder 0700, and so what SQLite puts beside the file."""
    store = open_store(url)
    store.take_term()
    home = _path(url).parent
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert "dspex.sqlite3-wal" in modes
    store.close()


def test_commits_of_a_warm_store_do_not_lengthen_its_log(file_store: SqlStore, url: str) -> None:
    """Lengthening a file makes a synchronous commit several times as slow; warming twice is as good as once."""
    session = make_session(file_store)
    log = _path(url).with_name("dspex.sqlite3-wal")
    before = log.stat().st_size
    file_store.warm()
    reserved = log.stat().st_size
    file_store.warm()
    file_store.commit([turn_of(session, 1)])
    assert before < reserved == log.stat().st_size


def test_warming_leaves_the_schema_as_it_was(file_store: SqlStore, url: str) -> None:
    """What filled the log is gone, also what a process left that was killed half-way."""
    file_store.warm()
    with sqlite3.connect(_path(url)) as connection:
        connection.execute("CREATE TABLE filler (pages BLOB)")
    connection.close()
    file_store.warm()
    with sqlite3.connect(_path(url)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {*metadata.tables, "alembic_version"}
    connection.close()


def test_a_store_is_the_same_one_when_opened_again(file_store: SqlStore, url: str) -> None:
    """Name, stream key and term go on."""
    file_store.take_term()
    again = open_store(url, create=False, expect_store_id=file_store.store_id)
    assert (again.store_id, again.stream_key) == (file_store.store_id, file_store.stream_key)
    assert again.take_term() == 2
    again.close()


def test_two_stores_differ_in_name_and_key() -> None:
    """Both are random; and what is in memory is nobody else's."""
    first, second = open_store("sqlite://"), open_store("sqlite://")
    assert first.store_id != second.store_id
    assert first.stream_key != second.stream_key
    first.close()
    second.close()


@pytest.mark.parametrize("revision", ["9999", "a1b2c3"])
def test_a_newer_schema_is_refused(file_store: SqlStore, url: str, revision: str) -> None:
    """The sentence says what to install; the store is left as it is."""
    _execute(url, f"UPDATE alembic_version SET version_num = '{revision}'")
    with pytest.raises(StoreUnavailable, match=rf"schema {revision}.*Install that version"):
        open_store(url)
    assert _execute(url, "SELECT version_num FROM alembic_version") == [(revision,)]


@pytest.mark.parametrize("address", ["file", "memory"])
def test_another_store_than_expected_is_refused(url: str, address: str) -> None:
    """The sentence says which setting to look at."""
    where = url if address == "file" else "sqlite://"
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="DSPEX_STORE_URL"):
            open_store(where, expect_store_id="01J")


def test_a_store_that_was_exchanged_is_noticed(file_store: SqlStore, url: str) -> None:
    """A ping reads the name again."""
    _execute(url, "UPDATE meta SET value = 'other' WHERE key = 'store_id'")
    with pytest.raises(StoreUnavailable, match="other"):
        file_store.ping()


def test_a_store_that_lost_its_identity_is_refused(file_store: SqlStore, url: str) -> None:
    """Rather than given a new one."""
    _execute(url, "DELETE FROM meta")
    with pytest.raises(StoreUnavailable, match="backup"):
        open_store(url)
    with pytest.raises(StoreUnavailable, match="backup"):
        file_store.take_term()


def test_nothing_is_created_unasked(url: str, tmp_path: Path) -> None:
    """A missing file, or an empty one, is no store."""
    with pytest.raises(StoreUnavailable, match="dspex serve"):
        open_store(url, create=False)
    assert list(tmp_path.iterdir()) == []
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(StoreUnavailable, match="dspex serve"):
        open_store(f"sqlite:///{empty}", create=False)
    assert empty.stat().st_size == 0


def test_many_may_open_a_new_store_at_once(url: str) -> None:
    """One of them makes it; all see the same."""
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: open_store(url), range(6)))
    assert len({store.store_id for store in stores}) == 1
    assert sorted(store.take_term() for store in stores) == [1, 2, 3, 4, 5, 6]
    for store in stores:
        store.close()


def test_the_migrations_make_the_schema(file_store: SqlStore, url: str, tmp_path: Path) -> None:
    """Table by table, index by index, as SQLite has recorded them."""
    fresh = f"sqlite:///{tmp_path / 'fresh'}"
    engine = create_engine(fresh)
    metadata.create_all(engine)
    engine.dispose()
    wanted = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE tbl_name != 'alembic_version' ORDER BY 1, 2"
    assert _plain(_execute(url, wanted)) == _plain(_execute(fresh, wanted))
    assert _execute(url, "SELECT version_num FROM alembic_version") == [(REVISION,)]


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A file of another program keeps its one table, and gets none of ours."""
    url = f"sqlite:///{tmp_path / 'foreign'}"
    _execute(url, "CREATE TABLE session (x)")
    with pytest.raises(StoreUnavailable, match="session already exists"):
        open_store(url)
    assert _execute(url, "SELECT name FROM sqlite_master") == [("session",)]


def test_a_store_that_is_up_to_date_opens_without_alembic(file_store: SqlStore, url: str) -> None:
    """Its import costs more than all the rest."""
    script = f"import sys; from dspex_actors.store import open_store; open_store({url!r}).close()"
    script += "; open_store('sqlite://').close(); sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


def test_migrating_leaves_the_programs_logging_alone(url: str) -> None:
    """No handler is added and no level is set."""
    before = (list(logging.root.handlers), logging.root.level, logging.getLogger("dspex_actors").disabled)
    open_store(url).close()
    assert (list(logging.root.handlers), logging.root.level, logging.getLogger("dspex_actors").disabled) == before


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


def test_a_locked_store_is_unavailable_and_comes_back(url: str) -> None:
    """Another process holds the lock for longer than we wait; afterwards all works again."""
    store = open_store(url, busy_timeout_s=0.05)
    rival = sqlite3.connect(_path(url), isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"locked.*Nothing was acknowledged"):
        store.take_term()
    store.ping()
    rival.close()
    assert store.take_term() == 1
    store.close()


@pytest.mark.parametrize("address", ["", "x", "postgresql://h/d", "sqlite://h/x", "sqlite:///a?mode=ro", "mysql:///x"])
def test_an_address_of_no_store_is_invalid(address: str) -> None:
    """The sentence names the two kinds there are."""
    with pytest.raises(InvalidRequest, match="sqlite:///<file>"):
        open_store(address)


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _plain(rows: list[tuple[object, ...]]) -> list[list[str]]:
    """The rows without their line breaks: a column that a migration adds stands in the line of the one before."""
    return [" ".join(map(str, row)).split() for row in rows]


def _execute(url: str, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(_path(url))
    try:
        with connection:
            return connection.execute(statement).fetchall()
    finally:
        connection.close()
