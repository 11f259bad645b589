"""The probes of the fence: what must never land, and what must not be lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.journal import Verdict
from dspex_actors.resources.session import SessionRecord
from dspex_actors.store import SqlStore, Store
from tests.protocol.store.making import TENANT, lease_of, make_session, turn_of


def test_a_commit_under_a_stale_epoch_never_lands(store: Store) -> None:
    """The lease moved on before the commit."""
    session = make_session(store)
    store.take_over([lease_of(store, session)], "host-b")
    assert store.commit([turn_of(session, 1, epoch=1)]) == [Verdict.MOVED]
    assert (store.entries(session.uid), store.load_session(session.uid).seq) == ([], 0)


def test_a_commit_under_a_future_epoch_never_lands(store: Store) -> None:
    """Nobody has been given that epoch."""
    session = make_session(store)
    assert store.commit([turn_of(session, 1, epoch=2)]) == [Verdict.MOVED]


def test_a_turn_of_epoch_7_stays_dead_at_8_and_when_its_host_is_back_at_9(store: Store) -> None:
    """The unit went elsewhere (8) and came back: only the epoch that a turn started under counts."""
    session = make_session(store, epoch=7)
    late = turn_of(session, 1, turn_id="late", epoch=7)
    for host, epoch in (("host-b", 8), ("host-a", 9)):
        assert [won.epoch for won in store.take_over([lease_of(store, session)], host)] == [epoch]
        assert store.commit([late]) == [Verdict.MOVED]
    assert store.commit([turn_of(session, 1, epoch=9)]) == [Verdict.COMMITTED]


def test_two_epochs_of_one_unit_in_one_batch_are_told_apart(store: Store) -> None:
    """The unit is held, but not under the epoch of every entry that names it."""
    by_unit: dict[str, SessionRecord] = {}
    stale = make_session(store)
    while by_unit.setdefault(stale.unit, stale) is stale:
        stale = make_session(store)
    current = by_unit[stale.unit]
    store.take_over([lease_of(store, current)], "host-b")
    entries = [turn_of(stale, 1, epoch=1), turn_of(current, 1, epoch=2)]
    assert store.commit(entries) == [Verdict.MOVED, Verdict.COMMITTED]
    assert store.entries(stale.uid) == []


def test_a_unit_mismatch_is_dropped(store: Store) -> None:
    """The lease is held, but the session belongs to another unit."""
    session = make_session(store)
    store.seed_leases({"session:other": "host-a"})
    assert store.commit([turn_of(session, 1, unit="session:other")]) == [Verdict.DROPPED]
    assert store.entries(session.uid) == []


@pytest.mark.parametrize("seq", [1, 3])
def test_a_number_that_is_not_the_next_is_dropped(store: Store, seq: int) -> None:
    """Behind the journal or ahead of it."""
    session = make_session(store)
    store.commit([turn_of(session, 1)])
    assert store.commit([turn_of(session, seq, turn_id="late")]) == [Verdict.DROPPED]
    assert [entry.turn_id for entry in store.entries(session.uid)] == ["turn-1"]


def test_nothing_late_lands_in_a_session_deleted_and_recreated(store: Store) -> None:
    """Same id, another uid: the old activation's entry finds no session."""
    old = make_session(store, "alice")
    store.delete_session(TENANT, "alice")
    new = make_session(store, "alice")
    assert store.commit([turn_of(old, 1)]) == [Verdict.DROPPED]
    assert (store.entries(old.uid), store.entries(new.uid)) == ([], [])


def test_one_stale_row_is_dropped_alone(store: Store) -> None:
    """Its batch lands."""
    first, stale, last = (make_session(store) for _ in range(3))
    store.delete_session(TENANT, stale.id)
    verdicts = store.commit([turn_of(session, 1) for session in (first, stale, last)])
    assert verdicts == [Verdict.COMMITTED, Verdict.DROPPED, Verdict.COMMITTED]
    assert [len(store.entries(session.uid)) for session in (first, last)] == [1, 1]


def test_a_lost_commit_answer_is_resolved_by_repeating_it(store: Store) -> None:
    """The same turn id and body is success, and is there once."""
    session, neighbour = make_session(store), make_session(store)
    store.commit([turn_of(session, 1)])
    assert store.commit([turn_of(session, 1), turn_of(neighbour, 1)]) == [Verdict.COMMITTED] * 2
    assert len(store.entries(session.uid)) == 1


@pytest.mark.parametrize(("turn_id", "body"), [("another", ""), ("turn-1", "another")])
def test_a_repeat_that_is_not_the_same_is_not_committed(store: Store, turn_id: str, body: str) -> None:
    """Another turn id, or another body, under the same number."""
    session = make_session(store)
    store.commit([turn_of(session, 1)])
    assert store.commit([turn_of(session, 1, turn_id=turn_id, body=body)]) == [Verdict.DROPPED]


def test_a_lost_answer_is_the_new_owners_to_resolve(store: Store) -> None:
    """After a takeover the old owner is told `moved`, though its row is there."""
    session = make_session(store)
    store.commit([turn_of(session, 1)])
    store.take_over([lease_of(store, session)], "host-b")
    assert store.commit([turn_of(session, 1)]) == [Verdict.MOVED]
    assert store.turn_by_id(session.uid, "turn-1") is not None


def test_a_connection_that_reads_cannot_write(shared_store: SqlStore) -> None:
    """So no write escapes the transactions that are made for writing."""
    statement = "UPDATE lease SET epoch = 9"
    with pytest.raises(StoreUnavailable, match=r"read-?only"), shared_store._database.read() as connection:
        connection.exec_driver_sql(statement)


def test_a_turn_that_ran_twice_is_not_taken_for_the_one_that_is_recorded(store: Store) -> None:
    """Its session was restarted while the first was on its way: the second must not be answered with what it made."""
    session = make_session(store)
    first = turn_of(session, 1)
    assert store.commit([first]) == [Verdict.COMMITTED]
    assert store.commit([first]) == [Verdict.COMMITTED]
    for other in (replace(first, delta=b'{"inputs":{},"outputs":{}}'), replace(first, at_us=first.at_us + 1)):
        assert store.commit([other]) == [Verdict.DROPPED]
