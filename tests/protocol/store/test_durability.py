"""What an acknowledged commit survives, by the settings that decide it."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from dspex_actors.resources.journal import Verdict
from dspex_actors.store import SqlStore, open_store
from tests.protocol.store.making import make_session, sql, turn_of
from tests.support.postgres import PostgresServer

COMMITTER = """
import sys
from dspex_actors.resources.journal import Entry
from dspex_actors.store import open_store
url, uid, unit = sys.argv[1:]
store = open_store(url)
print(store.commit([Entry(uid, 1, "turn", 1, "t", b"", b"{}", 5, unit=unit, epoch=1)])[0].name, flush=True)
sys.stdin.read()
"""


def test_a_commit_survives_the_process_that_made_it(shared_store: SqlStore, url: str) -> None:
    """SIGKILL the moment it was acknowledged."""
    session = make_session(shared_store)
    command = [sys.executable, "-c", COMMITTER, url, session.uid, session.unit]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "COMMITTED\n"
        child.kill()
    assert [entry.turn_id for entry in shared_store.entries(session.uid)] == ["t"]


def test_sqlite_forces_each_commit_to_the_disk(sqlite_store: SqlStore) -> None:
    """`synchronous=FULL` (2) on a write-ahead log: a power cut loses nothing either."""
    with sqlite_store._database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_postgresql_writes_each_commit_to_its_log_first(postgres_store: SqlStore, postgres_url: str) -> None:
    """`synchronous_commit=on`: when the call returns, the log is flushed as far as the commit."""
    session = make_session(postgres_store)
    for seq in range(1, 6):
        before = sql(postgres_url, "SELECT pg_current_wal_insert_lsn()")[0][0]
        postgres_store.commit([turn_of(session, seq)])
        flushed = "SELECT pg_current_wal_flush_lsn() > pg_lsn '{}'"
        assert sql(postgres_url, flushed.format(before)) == [(True,)]


@pytest.mark.parametrize("level", ["off", "on", "remote_apply"])
def test_the_database_decides_how_durable_a_commit_is(postgres_url: str, level: str) -> None:
    """The store overrides nothing."""
    name = postgres_url.rpartition("/")[2]
    sql(postgres_url, f"ALTER DATABASE {name} SET synchronous_commit = {level}")
    with closing(open_store(postgres_url)) as store, store._database.write() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == level


def test_with_synchronous_replication_a_commit_waits_for_the_standby(
    postgres: PostgresServer, postgres_store: SqlStore, postgres_url: str
) -> None:
    """Nothing is acknowledged that a fail-over could lose; here the standby is one that never comes."""
    session = make_session(postgres_store)
    with ThreadPoolExecutor(1) as pool:
        try:
            postgres.configure("synchronous_standby_names", "nobody")
            waiting = pool.submit(postgres_store.commit, [turn_of(session, 1)])
            deadline = time.monotonic() + 10
            while not sql(postgres_url, "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'"):
                assert time.monotonic() < deadline
            assert not waiting.done()
        finally:
            postgres.configure("synchronous_standby_names", "")
        assert waiting.result(10) == [Verdict.COMMITTED]
