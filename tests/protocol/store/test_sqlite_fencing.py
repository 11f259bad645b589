"""The fence on SQLite: one write lock, taken at the beginning of every transaction that writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from dspex_actors.resources.journal import Verdict
from dspex_actors.store import SqlStore, open_store
from tests.protocol.store.making import lease_of, make_session, turn_of
from tests.protocol.store.tracing import trace


def test_a_takeover_that_wins_the_lock_beats_the_commit_waiting_behind_it(
    sqlite_store: SqlStore, sqlite_url: str
) -> None:
    """Two connections and SQLite's real lock: the committer sees the epoch as it is after its wait."""
    session = make_session(sqlite_store)
    rival = open_store(sqlite_url)
    asked = Event()
    with ThreadPoolExecutor(1) as pool:
        with rival._database.write() as connection:
            trace(sqlite_store, lambda _statement: asked.set())
            waiting = pool.submit(sqlite_store.commit, [turn_of(session, 1)])
            assert asked.wait(10)
            connection.exec_driver_sql("UPDATE lease SET epoch = epoch + 1, host = 'b'")
            assert not waiting.done()
        assert waiting.result(10) == [Verdict.MOVED]
    rival.close()
    assert sqlite_store.entries(session.uid) == []


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
