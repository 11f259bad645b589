"""Opening a store: schemas, identities, addresses."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import Connection, create_engine

from dspex_actors.errors import InvalidRequest, StoreUnavailable
from dspex_actors.resources.session import ForkSpec
from dspex_actors.store import SqlStore, identity, open_store, revision
from dspex_actors.store.schema import REVISION, metadata
from tests.protocol.store.making import schema_of, sql


def test_a_store_is_the_same_one_when_opened_again(shared_store: SqlStore, url: str) -> None:
    """Name, stream key and term go on."""
    shared_store.take_term()
    again = open_store(url, create=False, expect_store_id=shared_store.store_id)
    assert (again.store_id, again.stream_key) == (shared_store.store_id, shared_store.stream_key)
    assert again.take_term() == 2
    again.close()


@pytest.mark.parametrize("revision", ["9999", "a1b2c3"])
def test_a_newer_schema_is_refused(shared_store: SqlStore, url: str, revision: str) -> None:
    """The sentence says what to install; the store is left as it is."""
    sql(url, f"UPDATE alembic_version SET version_num = '{revision}'")
    with pytest.raises(StoreUnavailable, match=rf"schema {revision}.*Install that version"):
        open_store(url)
    assert sql(url, "SELECT version_num FROM alembic_version") == [(revision,)]


def test_another_store_than_expected_is_refused(new_url: str) -> None:
    """The sentence says which setting to look at."""
    for address in ("sqlite://", new_url, new_url):
        with pytest.raises(StoreUnavailable, match="DSPEX_STORE_URL"):
            open_store(address, expect_store_id="01J")


def test_a_store_that_was_exchanged_is_noticed(shared_store: SqlStore, url: str) -> None:
    """A ping reads the name again."""
    sql(url, "UPDATE meta SET value = 'other' WHERE key = 'store_id'")
    with pytest.raises(StoreUnavailable, match="other"):
        shared_store.ping()


def test_a_store_that_lost_its_identity_is_refused(shared_store: SqlStore, url: str) -> None:
    """Rather than given a new one."""
    sql(url, "DELETE FROM meta")
    with pytest.raises(StoreUnavailable, match="backup"):
        open_store(url)
    with pytest.raises(StoreUnavailable, match="backup"):
        shared_store.take_term()


def test_many_may_open_a_new_store_at_once(new_url: str) -> None:
    """One of them makes it; all see the same."""
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: open_store(new_url), range(6)))
    assert len({store.store_id for store in stores}) == 1
    assert sorted(store.take_term() for store in stores) == [1, 2, 3, 4, 5, 6]
    for store in stores:
        store.close()


def test_the_migrations_make_the_schema(new_url: str, fresh_url: str) -> None:
    """Columns, keys, constraints and indexes are those of a fresh one, as the database itself describes them."""
    open_store(new_url).close()
    sql(fresh_url, "SELECT 1")
    fresh = create_engine(fresh_url)
    metadata.create_all(fresh)
    fresh.dispose()
    assert schema_of(new_url) == schema_of(fresh_url)
    assert len(schema_of(fresh_url)) > len(metadata.tables)
    assert sql(new_url, "SELECT version_num FROM alembic_version") == [(REVISION,)]


def test_a_store_of_before_time_travel_is_brought_up_with_what_is_in_it(new_url: str) -> None:
    """Its sessions are no forks, and can be rewound and forked."""
    with opened_at(new_url, "0001") as connection:
        row = "('u', 'default', 'old', 'p', 'qa', 1, NULL, 7, 'shard:7', 1, 1, 5)"
        connection.exec_driver_sql(f"INSERT INTO session VALUES {row}")
        blobs = ("x'00'", "x'7b7d'") if new_url.startswith("sqlite") else (r"'\x00'", r"'\x7b7d'")
        entry = f"('u', 1, 'default', 'turn', 1, 't', {blobs[0]}, 1, 5, {blobs[1]})"
        connection.exec_driver_sql(f"INSERT INTO journal VALUES {entry}")
    with closing(open_store(new_url)) as store:
        assert (store.get_session("default", "old").origin_id, store.course("u").at) == (None, 1)
        assert store.fork_session("default", "old", ForkSpec(id="new")).value.turns == 1


@contextmanager
def opened_at(url: str, version: str) -> Iterator[Connection]:
    """A store as an earlier program left it."""
    sql(url, "SELECT 1")
    engine = create_engine(url)
    with engine.begin() as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr(revision, "REVISION", version)
        revision.upgrade(connection)
        identity.give(connection)
        yield connection
    engine.dispose()


def test_a_migration_that_fails_leaves_nothing(new_url: str) -> None:
    """A database of another program keeps its one table, and gets none of ours."""
    sql(new_url, "CREATE TABLE session (x INTEGER)")
    before = schema_of(new_url)
    with pytest.raises(StoreUnavailable, match=r"session\S* already exists"):
        open_store(new_url)
    assert schema_of(new_url) == before


def test_a_store_that_is_up_to_date_opens_without_alembic(shared_store: SqlStore, url: str) -> None:
    """Its import costs more than all the rest."""
    script = f"import sys; from dspex_actors.store import open_store; open_store({url!r}).close()"
    script += "; open_store('sqlite://').close(); sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


def test_migrating_leaves_the_programs_logging_alone(new_url: str) -> None:
    """No handler is added and no level is set."""
    before = (list(logging.root.handlers), logging.root.level, logging.getLogger("dspex_actors").disabled)
    open_store(new_url).close()
    assert (list(logging.root.handlers), logging.root.level, logging.getLogger("dspex_actors").disabled) == before


@pytest.mark.parametrize(
    "address",
    ["", "x", "postgresql://h", "postgres://h/d", "sqlite://h/x", "sqlite:///a?mode=ro", "mysql:///x",
     "postgresql://h:x/d", "postgresql+asyncpg://h/d"],
)  # fmt: skip
def test_an_address_of_no_store_is_invalid(address: str) -> None:
    """The sentence names the kinds there are."""
    with pytest.raises(InvalidRequest, match=re.escape("sqlite:///<file>") + ".*postgresql://"):
        open_store(address)
