"""The fence on SQLite: one write lock, taken at the beginning of every transaction that writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from threading import Event

import pytest
from sqlalchemy import Connection

from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.journal import Entry, Verdict
from dspex_actors.store import Lease, SqlStore, open_store, pins
from dspex_actors.store.sqlite import TAKEOVER_POLL_S
from tests.protocol.store.making import lease_of, make_session, turn_of
from tests.protocol.store.tracing import trace

Commit = Callable[[Entry], "Future[list[Verdict]]"]


@contextmanager
def behind_a_lock(rival: SqlStore, store: SqlStore) -> Iterator[tuple[Connection, Commit]]:
    """A transaction of the rival's, and what lets the store commit an entry: as soon as the rival's has ended."""
    asked = Event()
    with ThreadPoolExecutor(1) as pool:

        def commit(entry: Entry) -> Future[list[Verdict]]:
            trace(store, lambda _statement: asked.set())
            waiting = pool.submit(store.commit, [entry])
            assert asked.wait(10)
            assert not waiting.done()
            return waiting

        with rival._database.write() as connection:
            yield connection, commit


def test_a_stale_epoch_behind_a_lock_never_lands(sqlite_store: SqlStore, sqlite_url: str) -> None:
    """A takeover holds SQLite's one lock; the committer that waited for it sees the epoch as it is then."""
    session = make_session(sqlite_store)
    with closing(open_store(sqlite_url)) as rival, behind_a_lock(rival, sqlite_store) as (connection, commit):
        connection.exec_driver_sql("UPDATE lease SET epoch = epoch + 1, host = 'b'")
        waiting = commit(turn_of(session, 1))
    assert waiting.result(10) == [Verdict.MOVED]
    assert (sqlite_store.entries(session.uid), sqlite_store.load_session(session.uid).seq) == ([], 0)


def test_a_commit_that_wins_the_lock_is_seen_by_the_takeover_waiting_behind_it(
    sqlite_store: SqlStore, sqlite_url: str
) -> None:
    """The new owner's first read has the entry."""
    session = make_session(sqlite_store)
    rival, asked = open_store(sqlite_url), Event()
    seen = [lease_of(sqlite_store, session)]
    with ThreadPoolExecutor(1) as pool:
        with sqlite_store._database.write() as connection:
            sqlite_store._fence.commit(connection, [turn_of(session, 1)])
            trace(rival, lambda _statement: asked.set())
            waiting = pool.submit(rival.take_over, seen, "host-b")
            assert asked.wait(10)
            assert not waiting.done()
        assert [lease.epoch for lease in waiting.result(10)] == [2]
    assert [entry.turn_id for entry in rival.entries(session.uid)] == ["turn-1"]
    rival.close()


def test_every_write_begins_immediately(sqlite_store: SqlStore) -> None:
    """No transaction is deferred: BEGIN IMMEDIATE is the first statement of each write, and the only BEGIN."""
    session = make_session(sqlite_store)
    sent: list[str] = []
    trace(sqlite_store, sent.append)
    for seq in (1, 2):
        sqlite_store.commit([turn_of(session, seq)])
    sqlite_store.take_over(sqlite_store.leases(), "host-b")
    bounds = [statement.strip() for statement in sent if statement.startswith(("BEGIN", "COMMIT"))]
    assert bounds == ["BEGIN IMMEDIATE", "COMMIT"] * 3
    assert sent[0].startswith("BEGIN")


def test_a_turn_of_epoch_7_behind_a_lock_stays_dead_at_8_and_at_9(sqlite_store: SqlStore, sqlite_url: str) -> None:
    """The unit is back on its host when the commit gets its lock: only the epoch counts."""
    session = make_session(sqlite_store, epoch=7)
    with closing(open_store(sqlite_url)) as rival, behind_a_lock(rival, sqlite_store) as (connection, commit):
        connection.exec_driver_sql("UPDATE lease SET epoch = epoch + 1, host = 'host-b'")
        waiting = commit(turn_of(session, 1, turn_id="late", epoch=7))
        connection.exec_driver_sql("UPDATE lease SET epoch = epoch + 1, host = 'host-a'")
    assert waiting.result(10) == [Verdict.MOVED]
    assert lease_of(sqlite_store, session) == Lease(session.unit, 9, "host-a")
    assert sqlite_store.commit([turn_of(session, 1, epoch=9)]) == [Verdict.COMMITTED]


def test_nothing_late_lands_in_a_session_deleted_and_recreated_behind_a_lock(
    sqlite_store: SqlStore, sqlite_url: str
) -> None:
    """The committer waits for the deletion; the new session of that name has another uid."""
    old = make_session(sqlite_store, "alice")
    with closing(open_store(sqlite_url)) as rival, behind_a_lock(rival, sqlite_store) as (connection, commit):
        connection.exec_driver_sql("DELETE FROM session WHERE id = 'alice'")
        waiting = commit(turn_of(old, 1))
    new = make_session(sqlite_store, "alice")
    assert waiting.result(10) == [Verdict.DROPPED]
    assert (sqlite_store.entries(old.uid), sqlite_store.entries(new.uid)) == ([], [])


def test_a_turn_behind_a_pin_does_not_land_under_its_shards_lease(sqlite_store: SqlStore, sqlite_url: str) -> None:
    """The shard's lease is as it was; the session is served by another one when the commit gets its lock."""
    session = make_session(sqlite_store)
    with closing(open_store(sqlite_url)) as rival, behind_a_lock(rival, sqlite_store) as (connection, commit):
        pins.pin(connection, session.uid, session.unit, "host-b")
        waiting = commit(turn_of(session, 1))
    assert waiting.result(10) == [Verdict.DROPPED]
    assert sqlite_store.entries(session.uid) == []


def test_a_takeover_looks_for_the_lock_every_millisecond(
    sqlite_store: SqlStore, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed host lets go of it soon; and who takes over waits patiently again for what it does afterwards."""
    make_session(sqlite_store)
    waits: list[float] = []
    with closing(open_store(sqlite_url)) as rival, ExitStack() as held:
        held.enter_context(rival._database.write())

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                held.close()

        monkeypatch.setattr(time, "sleep", wait)
        assert sqlite_store.inherit("host-a", "host-b")
    assert waits == [TAKEOVER_POLL_S] * 3
    with sqlite_store._database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() > 1000


def test_a_takeover_gives_up_in_time(sqlite_url: str) -> None:
    """Somebody else holds the lock and does not end."""
    with closing(open_store(sqlite_url, busy_timeout_s=0.05)) as store, closing(open_store(sqlite_url)) as rival:
        with rival._database.write(), pytest.raises(StoreUnavailable, match="locked"):
            store.inherit("host-a", "host-b")
        assert store.inherit("host-a", "host-b") == []
