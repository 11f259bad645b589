"""PROTOCOL's interleavings on PostgreSQL's real locks: what must never land, and what must not be lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import Connection

from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.journal import Verdict
from dspex_actors.resources.key import ApiKey
from dspex_actors.resources.session import SessionRecord
from dspex_actors.store import Lease, SqlStore, keys, leases, open_store, pins
from dspex_actors.store.fence import CHUNK, _lease_check
from tests.protocol.store.making import TENANT, lease_of, make_session, sql, turn_of
from tests.support.cutting import cutting
from tests.support.postgres import PostgresServer

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
UP = "UPDATE lease SET epoch = epoch + 1"


def wait_until_one_waits(url: str) -> None:
    """Until a connection of the database waits for a lock."""
    deadline = time.monotonic() + 10
    while sql(url, WAITING) == [(0,)]:
        assert time.monotonic() < deadline


@contextmanager
def transaction(store: SqlStore) -> Iterator[Connection]:
    """A write transaction that may take its time, however slow the machine is."""
    with store._database.write() as connection:
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield connection


def test_a_stale_epoch_behind_a_lock_never_lands(postgres_store: SqlStore, postgres_url: str) -> None:
    """A takeover holds the lease's row; the committer that waited for it sees the epoch as it is then."""
    session = make_session(postgres_store)
    with closing(open_store(postgres_url)) as rival, ThreadPoolExecutor(1) as pool:
        with transaction(rival) as connection:
            connection.exec_driver_sql(UP)
            waiting = pool.submit(postgres_store.commit, [turn_of(session, 1)])
            wait_until_one_waits(postgres_url)
        assert waiting.result(10) == [Verdict.MOVED]
    assert (postgres_store.entries(session.uid), postgres_store.load_session(session.uid).seq) == ([], 0)


def test_a_turn_of_epoch_7_behind_a_lock_stays_dead_at_8_and_at_9(postgres_store: SqlStore, postgres_url: str) -> None:
    """The unit is back on its host when the commit gets its lock: only the epoch counts."""
    session = make_session(postgres_store, epoch=7)
    with closing(open_store(postgres_url)) as rival, ThreadPoolExecutor(1) as pool:
        with transaction(rival) as connection:
            connection.exec_driver_sql(f"{UP}, host = 'host-b'")
            waiting = pool.submit(postgres_store.commit, [turn_of(session, 1, turn_id="late", epoch=7)])
            wait_until_one_waits(postgres_url)
            connection.exec_driver_sql(f"{UP}, host = 'host-a'")
        assert waiting.result(10) == [Verdict.MOVED]
    assert lease_of(postgres_store, session) == Lease(session.unit, 9, "host-a")
    assert postgres_store.commit([turn_of(session, 1, epoch=9)]) == [Verdict.COMMITTED]


def test_nothing_late_lands_in_a_session_deleted_and_recreated_behind_a_lock(
    postgres_store: SqlStore, postgres_url: str
) -> None:
    """The committer waits for the row that is being deleted; the new one of that name has another uid."""
    old = make_session(postgres_store, "alice")
    with closing(open_store(postgres_url)) as rival, ThreadPoolExecutor(1) as pool:
        with transaction(rival) as connection:
            connection.exec_driver_sql("DELETE FROM session WHERE id = 'alice'")
            waiting = pool.submit(postgres_store.commit, [turn_of(old, 1)])
            wait_until_one_waits(postgres_url)
        new = make_session(postgres_store, "alice")
        assert waiting.result(10) == [Verdict.DROPPED]
    assert (postgres_store.entries(old.uid), postgres_store.entries(new.uid)) == ([], [])


def test_a_turn_behind_a_pin_does_not_land_under_its_shards_lease(postgres_store: SqlStore, postgres_url: str) -> None:
    """The shard's lease is as it was; the session is served by another one when the commit gets its lock."""
    session = make_session(postgres_store)
    with closing(open_store(postgres_url)) as rival, ThreadPoolExecutor(1) as pool:
        with transaction(rival) as connection:
            pins.pin(connection, session.uid, session.unit, "host-b")
            waiting = pool.submit(postgres_store.commit, [turn_of(session, 1)])
            wait_until_one_waits(postgres_url)
        assert waiting.result(10) == [Verdict.DROPPED]
    assert postgres_store.entries(session.uid) == []


def test_a_takeover_waits_for_a_commit_and_its_first_read_has_the_entry(
    postgres_store: SqlStore, postgres_url: str
) -> None:
    """The committer is no suspect's frozen process: it is waited for."""
    session = make_session(postgres_store)
    with closing(open_store(postgres_url)) as rival, ThreadPoolExecutor(1) as pool:
        with transaction(postgres_store) as connection:
            postgres_store._fence.commit(connection, [turn_of(session, 1)])
            waiting = pool.submit(rival.inherit, "host-a", "host-b")
            wait_until_one_waits(postgres_url)
        assert [lease.epoch for lease in waiting.result(10)] == [2]
        assert [entry.turn_id for entry in rival.entries(session.uid)] == ["turn-1"]


@pytest.mark.parametrize(("lost", "there"), [("answer", 1), ("question", 0)])
def test_a_lost_commit_answer_is_resolved_by_repeating_it(
    postgres: PostgresServer, postgres_url: str, lost: str, there: int
) -> None:
    """The connection is cut after COMMIT was sent, or before it arrived: the repetition is there once, either way."""
    with cutting(postgres.port) as proxy:
        through = postgres_url.replace(f":{postgres.port}/", f":{proxy.port}/")
        with closing(open_store(through)) as store:
            session = make_session(store)
            (proxy.lose_answer_to if lost == "answer" else proxy.lose)(b"COMMIT\0")  # BEGIN says READ COMMITTED
            with pytest.raises(StoreUnavailable):
                store.commit([turn_of(session, 1)])
            assert (proxy.cuts, sql(postgres_url, "SELECT count(*) FROM journal")) == (1, [(there,)])
            assert store.commit([turn_of(session, 1)]) == [Verdict.COMMITTED]
            assert [entry.turn_id for entry in store.entries(session.uid)] == ["turn-1"]


@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK"])
def test_a_repetition_waits_for_the_first_one(postgres_store: SqlStore, postgres_url: str, ends: str) -> None:
    """The server still works on the transaction whose answer was lost: what came of it is read after its end."""
    session = make_session(postgres_store)
    with closing(open_store(postgres_url)) as again, ThreadPoolExecutor(1) as pool:
        with transaction(postgres_store) as connection:
            postgres_store._fence.commit(connection, [turn_of(session, 1)])
            waiting = pool.submit(again.commit, [turn_of(session, 1)])
            wait_until_one_waits(postgres_url)
            connection.exec_driver_sql(ends)
        assert waiting.result(10) == [Verdict.COMMITTED]
    assert [entry.seq for entry in postgres_store.entries(session.uid)] == [1]


@contextmanager
def frozen_owner(url: str, session: SessionRecord, *, may_idle: bool) -> Iterator[subprocess.Popen[str]]:
    """A host, stopped between its last statement and COMMIT; `may_idle` takes the server's own remedy away."""
    arguments = [url, session.uid, session.unit, "1", "yes" if may_idle else "no"]
    command = [sys.executable, "-m", "tests.protocol.store.frozen_owner", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "COMMITTED\n"
            os.kill(child.pid, signal.SIGSTOP)
            yield child
        finally:
            child.kill()


def woken(child: subprocess.Popen[str]) -> list[str]:
    """What the host says when it goes on."""
    os.kill(child.pid, signal.SIGCONT)
    return child.communicate("\n", timeout=30)[0].split()


@pytest.mark.parametrize("by", ["inherit", "take_over"])
def test_a_frozen_owner_that_holds_the_lock_is_taken_over_and_cannot_commit(
    postgres_store: SqlStore, postgres_url: str, by: str
) -> None:
    """Within about a second, by ending its connection; awake again it is told `moved`."""
    session = make_session(postgres_store)
    with frozen_owner(postgres_url, session, may_idle=True) as child:
        began = time.monotonic()
        seen = postgres_store.leases()
        calls = {"inherit": ("host-a", "host-b"), "take_over": (seen, "host-b")}
        assert [lease.epoch for lease in getattr(postgres_store, by)(*calls[by])] == [2]
        assert time.monotonic() - began < 4  # in a quiet hour 0.2 s; a lock timeout would be 5 s
        assert woken(child) == ["unavailable", "MOVED"]
    assert postgres_store.entries(session.uid) == []


def test_a_frozen_transaction_that_nobody_takes_over_ends_after_half_a_second(
    postgres_store: SqlStore, postgres_url: str
) -> None:
    """The server ends it: whoever waits for its locks goes on."""
    session = make_session(postgres_store)
    with frozen_owner(postgres_url, session, may_idle=False) as child:
        assert postgres_store.delete_session(TENANT, session.id) == session.uid
        assert woken(child) == ["unavailable", "DROPPED"]


def test_a_takeover_ends_no_connection_of_a_host_that_is_not_suspected(postgres_url: str) -> None:
    """It gives up when its time is over; the other one commits."""
    with (
        closing(open_store(postgres_url, owner="host-c")) as healthy,
        closing(open_store(postgres_url, busy_timeout_s=0.3)) as placement,
    ):
        session = make_session(healthy)
        with transaction(healthy) as connection:
            healthy._fence.commit(connection, [turn_of(session, 1)])
            with pytest.raises(StoreUnavailable, match="lock timeout"):
                placement.inherit("host-a", "host-b")
        assert [entry.seq for entry in placement.entries(session.uid)] == [1]


def test_a_takeover_of_some_units_does_not_wait_for_others(postgres_store: SqlStore, postgres_url: str) -> None:
    """A host that is busy committing holds up nobody else's move."""
    postgres_store.seed_leases({"shard:1": "a", "shard:2": "b"})
    with closing(open_store(postgres_url)) as busy, transaction(busy) as connection:
        connection.exec_driver_sql("SELECT FROM lease WHERE unit = 'shard:2' FOR SHARE")
        assert postgres_store.take_over([Lease("shard:1", 1, "a")], "c") == [Lease("shard:1", 2, "c")]
        assert postgres_store.inherit("c", "d") == [Lease("shard:1", 3, "d")]


def test_a_plain_read_of_the_epoch_would_have_let_the_stale_commit_land(
    postgres_store: SqlStore, postgres_url: str
) -> None:
    """Without FOR SHARE the probe lands: this is what the lock is for."""
    session = make_session(postgres_store)
    entry, fence = turn_of(session, 1), postgres_store._fence
    text = fence._text(_lease_check, 1)
    with transaction(postgres_store) as connection:
        assert connection.exec_driver_sql(text.replace(" FOR SHARE", ""), (entry.unit, 1)).all()
        with closing(open_store(postgres_url)) as rival:
            assert rival.inherit("host-a", "host-b")
        assert fence._advance(connection, [entry]) == {session.uid: (TENANT, 0)}


UNITS = {f"shard:{n}": "host-a" for n in range(4)}
KEY = ApiKey("admin", "a" * 64, "default", ("admin",), None, 5)


@pytest.mark.parametrize("what", ["leases", "key"])
def test_two_processes_that_write_the_same_do_it_one_after_the_other(
    postgres_store: SqlStore, postgres_url: str, what: str
) -> None:
    """What reads first and then writes: neither is refused what the other one has just written."""
    with closing(open_store(postgres_url)) as other, ThreadPoolExecutor(1) as pool:
        with transaction(postgres_store) as connection:
            if what == "leases":
                leases.seed(connection, UNITS)
                waiting = pool.submit(other.seed_leases, UNITS)
            else:
                keys.put(connection, KEY)
                waiting = pool.submit(other.put_key, KEY)
            wait_until_one_waits(postgres_url)
        waiting.result(10)


@pytest.mark.parametrize("who", ["inherit", "take_over", "commit"])
def test_leases_are_locked_in_key_order_by_everybody(postgres_store: SqlStore, postgres_url: str, who: str) -> None:
    """Whatever the order of the rows or of the entries, so that nobody waits in a circle: the later one is free while
    the first one is waited for."""
    postgres_store.seed_leases({"session:b": "host-a"})
    postgres_store.seed_leases({"session:a": "host-a"})
    made = [make_session(postgres_store) for _ in range(CHUNK + 1)] if who == "commit" else []
    batch = [turn_of(each, 1, unit="session:b" if each is not made[-1] else "session:a") for each in made]
    seen = [lease for lease in postgres_store.leases() if lease.unit.startswith("session:")]
    calls = {"inherit": ("host-a", "host-b"), "take_over": (seen[::-1], "host-b"), "commit": (batch,)}
    with closing(open_store(postgres_url)) as rival, ThreadPoolExecutor(1) as pool:
        with transaction(rival) as connection:
            connection.exec_driver_sql("SELECT FROM lease WHERE unit = 'session:a' FOR UPDATE")
            waiting = pool.submit(getattr(postgres_store, who), *calls[who])
            wait_until_one_waits(postgres_url)
            connection.exec_driver_sql("SELECT FROM lease WHERE unit = 'session:b' FOR UPDATE NOWAIT")
        waiting.result(10)
