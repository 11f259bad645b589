"""The contract of leases: compare-and-set, and no unowned state."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from dspex_actors.store import Lease, Store


def test_missing_units_are_seeded_and_known_ones_kept(store: Store) -> None:
    """A second seeding changes no owner and no epoch."""
    store.seed_leases({"shard:1": "a", "shard:0": "a"})
    store.take_over([Lease("shard:1", 1, "a")], "b")
    store.seed_leases({"shard:1": "c", "shard:2": "c"})
    assert store.leases() == [Lease("shard:0", 1, "a"), Lease("shard:1", 2, "b"), Lease("shard:2", 1, "c")]


def test_a_takeover_wins_only_what_is_as_it_was_seen(store: Store) -> None:
    """In key order; a lease that moved on, or never was, is not given."""
    store.seed_leases({f"shard:{n}": "a" for n in range(4)})
    store.take_over([Lease("shard:2", 1, "a")], "b")
    seen = [Lease(f"shard:{n}", 1, "a") for n in (3, 2, 0, 9)]
    assert store.take_over(seen, "c") == [Lease("shard:0", 2, "c"), Lease("shard:3", 2, "c")]
    assert store.leases()[2] == Lease("shard:2", 2, "b")


def test_taking_over_nothing_wins_nothing(store: Store) -> None:
    """And seeding nothing makes nothing."""
    store.seed_leases({})
    assert (store.take_over([], "a"), store.leases()) == ([], [])


def test_every_shard_moves_in_one_takeover(store: Store) -> None:
    """1,024 leases, each one epoch on."""
    store.seed_leases({f"shard:{n}": "a" for n in range(1024)})
    won = store.take_over(store.leases(), "b")
    assert won == store.leases()
    assert {(lease.epoch, lease.host) for lease in won} == {(2, "b")}


def test_one_of_many_rivals_wins_an_epoch(store: Store) -> None:
    """Eight threads that saw the same lease."""
    store.seed_leases({"shard:1": "a"})
    seen = store.leases()
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.take_over(seen, f"h{n}"), range(8)))
    assert sum(map(len, won)) == 1
    assert [lease for leases in won for lease in leases] == store.leases()


def test_an_heir_gets_all_of_the_lost_hosts_leases_and_nobody_elses(store: Store) -> None:
    """One epoch on; what it held before is told with them, as it was."""
    store.seed_leases({"shard:0": "a", "shard:1": "b", "shard:2": "a", "shard:3": "c"})
    assert store.inherit("a", "b") == [Lease("shard:0", 2, "b"), Lease("shard:1", 1, "b"), Lease("shard:2", 2, "b")]
    assert store.leases()[3] == Lease("shard:3", 1, "c")


def test_a_host_is_told_what_it_holds_and_nothing_else(store: Store) -> None:
    """By that it learns what it has lost."""
    store.seed_leases({"shard:0": "a", "shard:1": "b", "shard:2": "a"})
    store.take_over([lease for lease in store.leases() if lease.unit == "shard:2"], "c")
    assert store.held_by("a") == {"shard:0": 1}
    assert store.held_by("c") == {"shard:2": 2}
    assert store.held_by("nobody-known") == {}


def test_one_of_many_heirs_inherits(store: Store) -> None:
    """Eight threads that all saw the same host die."""
    store.seed_leases({f"shard:{n}": "a" for n in range(16)})
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda n: store.inherit("a", f"h{n}"), range(8)))
    assert sorted(map(len, held)) == [0] * 7 + [16]
    assert {lease.epoch for lease in store.leases()} == {2}
