"""The contract of moves: shards handed over by their owner, and sessions with leases of their own."""

from __future__ import annotations

from dspex_actors.resources.journal import Verdict
from dspex_actors.store import Lease, Store
from tests.protocol.store.making import TENANT, lease_of, make_session, turn_of


def own(uid: str) -> str:
    """The session's own unit."""
    return f"session:{uid}"


def test_a_unit_that_is_handed_over_is_the_heirs_one_epoch_on(store: Store) -> None:
    """Only where it is as its owner saw it."""
    store.seed_leases({"shard:0": "a", "shard:1": "a", "shard:2": "b"})
    seen = [Lease("shard:0", 1, "a"), Lease("shard:1", 7, "a")]
    assert store.hand_over(seen, "c", []) == [Lease("shard:0", 2, "c"), Lease("shard:1", 1, "a")]
    assert store.leases()[2] == Lease("shard:2", 1, "b")


def test_a_session_that_stays_gets_a_lease_of_its_own_in_the_same_step(store: Store) -> None:
    """Its turns commit under that one, and no longer under the shard's."""
    alice = make_session(store)
    moved, kept = store.hand_over([lease_of(store, alice)], "host-b", [(alice.uid, alice.unit)])[::-1]
    assert (moved.host, moved.epoch, kept.unit, kept.host) == ("host-b", 2, own(alice.uid), "host-a")
    assert store.commit([turn_of(alice, 1, epoch=2)]) == [Verdict.DROPPED]
    assert store.commit([turn_of(alice, 1, epoch=kept.epoch, unit=kept.unit)]) == [Verdict.COMMITTED]
    assert store.load_session(alice.uid).unit == kept.unit


def test_a_handover_whose_answer_was_lost_is_told_by_repeating_it(store: Store) -> None:
    """Nothing moves twice."""
    alice = make_session(store)
    ask = ([lease_of(store, alice)], "host-b", [(alice.uid, alice.unit)])
    first = store.hand_over(*ask)
    assert store.hand_over(*ask) == first


def test_a_deleted_session_does_not_stay(store: Store) -> None:
    """It gets no lease."""
    alice = make_session(store)
    seen = lease_of(store, alice)
    store.delete_session(TENANT, alice.id)
    assert [lease.unit for lease in store.hand_over([seen], "host-b", [(alice.uid, alice.unit)])] == [alice.unit]


def test_a_session_moves_to_a_host_and_on_and_back_to_its_shard(store: Store) -> None:
    """Its shard's lease stays as it is; each of its own leases has a higher epoch."""
    alice = make_session(store)
    shard = lease_of(store, alice)
    pinned = store.move_session(alice.uid, shard, "host-b")
    assert pinned is not None
    assert (pinned.unit, pinned.host) == (own(alice.uid), "host-b")
    again = store.move_session(alice.uid, pinned, "host-c")
    assert again is not None
    assert again.epoch > pinned.epoch
    assert again.host == "host-c"
    assert store.move_session(alice.uid, again, None) is None
    assert (store.load_session(alice.uid).unit, lease_of(store, alice)) == (shard.unit, shard)


def test_a_move_by_somebody_who_lost_the_lease_changes_nothing(store: Store) -> None:
    """A frozen owner that wakes up."""
    alice = make_session(store)
    seen = lease_of(store, alice)
    store.take_over([seen], "host-b")
    assert store.move_session(alice.uid, seen, "host-c") is None
    assert store.load_session(alice.uid).unit == alice.unit


def test_a_move_whose_answer_was_lost_is_told_by_repeating_it(store: Store) -> None:
    """There and back."""
    alice = make_session(store)
    seen = lease_of(store, alice)
    pinned = store.move_session(alice.uid, seen, "host-b")
    assert pinned is not None
    assert store.move_session(alice.uid, seen, "host-b") == pinned
    assert [store.move_session(alice.uid, pinned, None) for _ in range(2)] == [None, None]


def test_a_turn_from_before_a_session_left_does_not_commit_after_it_came_back(store: Store) -> None:
    """Its own leases never have an epoch twice, however often it comes and goes."""
    alice = make_session(store)
    first = store.move_session(alice.uid, lease_of(store, alice), "host-a")
    assert first is not None
    store.move_session(alice.uid, first, None)
    second = store.move_session(alice.uid, lease_of(store, alice), "host-a")
    assert second is not None
    assert second.epoch > first.epoch
    late = turn_of(alice, 1, epoch=first.epoch, unit=first.unit)
    assert store.commit([late]) == [Verdict.MOVED]


def test_a_turn_of_a_stale_router_does_not_land_after_a_pin(store: Store) -> None:
    """Its old host still has the shard's lease, at the same epoch; the session's own unit is what counts."""
    alice = make_session(store)
    pinned = store.move_session(alice.uid, lease_of(store, alice), "host-b")
    assert pinned is not None
    assert lease_of(store, alice) == Lease(alice.unit, 1, "host-a")
    assert store.commit([turn_of(alice, 1)]) == [Verdict.DROPPED]
    assert store.commit([turn_of(alice, 1, epoch=pinned.epoch, unit=pinned.unit)]) == [Verdict.COMMITTED]


def test_a_lost_hosts_own_sessions_are_their_shards_again(store: Store) -> None:
    """Whoever has the shard; the shards of the lost host are the heir's."""
    alice = make_session(store)
    shard = lease_of(store, alice)
    store.move_session(alice.uid, shard, "host-b")
    store.seed_leases({"shard:9999": "host-b"})
    assert store.inherit("host-b", "host-c") == [Lease("shard:9999", 2, "host-c")]
    assert store.load_session(alice.uid).unit == shard.unit
    assert {lease.unit for lease in store.leases()} == {shard.unit, "shard:9999"}


def test_a_deleted_session_leaves_no_lease(store: Store) -> None:
    """Nobody would ever remove it."""
    alice = make_session(store)
    store.move_session(alice.uid, lease_of(store, alice), "host-b")
    store.delete_session(TENANT, alice.id)
    assert [lease.unit for lease in store.leases()] == [alice.unit]
