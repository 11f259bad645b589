"""The planner: what moves when, by example."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from dspex_actors.sessions.planner import HostView, Move
from tests.unit.sessions.planning import Cluster, changed, even, without


@pytest.mark.parametrize("n", [2, 3, 4, 10, 33, 100])
def test_one_nth_of_the_shards_moves_when_the_nth_host_joins_and_nothing_else(n: int) -> None:
    """Every owner gives the newcomer about as many; nobody else gets any."""
    before = replace(even(n - 1, standbys=1), wanted=n)
    moves = before.plan()
    assert len(moves) in {1024 // n, 1024 // n + 1}
    assert {move.target for move in moves} == {f"host-{n - 1}"}
    counts = Counter(before.after(moves).owners.values())
    assert max(counts.values()) - min(counts.values()) <= 1


def test_all_of_a_lost_host_goes_to_one_standby_in_one_step() -> None:
    """Its sessions' new owner has one thing to catch up with; there is nobody to ask for the units."""
    moves = without(even(3, standbys=2), "host-1").plan()
    assert len(moves) == 341
    assert {(move.source, move.target) for move in moves} == {(None, "host-3")}


def test_without_a_standby_the_survivors_share_what_is_lost() -> None:
    """Evenly."""
    cluster = without(even(4), "host-1")
    counts = Counter(move.target for move in cluster.plan())
    assert counts.keys() == {"host-0", "host-2", "host-3"}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_with_as_many_owners_as_are_wanted_a_standby_stays_one() -> None:
    """What is lost goes to those who own shards already."""
    cluster = without(replace(even(3, standbys=1), wanted=2), "host-1")
    assert {move.target for move in cluster.plan()} == {"host-0", "host-2"}


def test_two_losses_and_one_standby() -> None:
    """One is inherited whole, by the standby; the other is spread over all, the new owner among them."""
    cluster = without(even(4, standbys=1), "host-0", "host-1")
    after = cluster.after(cluster.plan())
    counts = Counter(after.owners.values())
    assert counts.keys() == {"host-2", "host-3", "host-4"}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_heaviest_loss_gets_the_only_standby() -> None:
    """More sessions wait for it."""
    owners = {"shard:0": "a", "shard:1": "a", "shard:2": "b", "shard:3": "c", "shard:4": "c"}
    cluster = Cluster([HostView("c"), HostView("standby")], owners, 2)
    heirs = {move.unit: move.target for move in cluster.plan()}
    assert heirs["shard:0"] == heirs["shard:1"] == "standby"


def test_a_draining_host_gives_all_to_a_standby_which_becomes_an_owner() -> None:
    """It lives, so it is asked for them."""
    moves = changed(even(2, standbys=1), "host-0", draining=True).plan()
    assert len(moves) == 512
    assert {(move.source, move.target) for move in moves} == {("host-0", "host-2")}


def test_dead_hosts_come_before_draining_ones() -> None:
    """In the list, and in the choice of a standby: nobody serves their units now."""
    moves = changed(without(even(3, 9, standbys=1), "host-2"), "host-0", draining=True).plan()
    assert [move.source for move in moves] == [None] * 3 + ["host-0"] * 3
    assert {move.target for move in moves[:3]} == {"host-3"}


def test_the_standby_that_becomes_an_owner_is_on_the_node_with_the_fewest() -> None:
    """A node that is lost takes few owners with it."""
    owners = {f"shard:{n}": f"owner-{n % 3}" for n in range(90)}
    nodes = {"owner-0": "a", "owner-1": "a", "owner-2": "b", "first": "a", "second": "b", "third": "c"}
    cluster = Cluster([HostView(name, node) for name, node in nodes.items()], owners, 5)
    after = cluster.after(cluster.plan())
    assert set(after.owners.values()) == {"owner-0", "owner-1", "owner-2", "third", "second"}


def test_the_next_standby_is_on_another_node() -> None:
    """Who has become an owner in the same plan counts as one."""
    hosts = [HostView("a", "north"), HostView("b", "south"), HostView("c", "south"), HostView("d", "east")]
    cluster = Cluster(hosts, {f"shard:{n}": "a" for n in range(90)}, 3)
    assert {move.target for move in cluster.plan()} == {"b", "d"}


def test_a_small_imbalance_moves_nothing() -> None:
    """A tenth more than the mean is no reason to make sessions wait."""
    owners = {f"shard:{n}": "a" if n < 110 else "b" for n in range(200)}
    assert Cluster([HostView("a"), HostView("b")], owners, 2).plan() == []


def test_a_large_imbalance_is_evened_out_with_room_to_spare() -> None:
    """It stops at 1.05 of the mean, so that the next hot shard does not move something at once."""
    owners = {f"shard:{n}": "a" if n < 150 else "b" for n in range(200)}
    cluster = Cluster([HostView("a"), HostView("b")], owners, 2)
    moves = cluster.plan()
    assert len(moves) == 45
    assert {(move.source, move.target) for move in moves} == {("a", "b")}


def test_one_hot_shard_does_not_clear_its_host_of_idle_ones() -> None:
    """Moving those would change nothing that anybody can measure."""
    owners = {f"shard:{n}": "a" if n < 50 else "b" for n in range(100)}
    weights = {f"shard:{n}": 0.001 for n in range(100)} | {"shard:7": 10.0, "shard:70": 1.0}
    assert Cluster([HostView("a"), HostView("b")], owners, 2, weights).plan() == []


def test_a_host_with_one_hot_shard_gives_away_the_rest_while_that_is_something() -> None:
    """All but what nobody can measure: under a twentieth of a mean."""
    weights = {f"shard:{n}": 0.01 for n in range(100)} | {"shard:7": 10.0, "shard:70": 1.0}
    owners = {unit: "b" if unit == "shard:70" else "a" for unit in weights}
    cluster = Cluster([HostView("a"), HostView("b"), HostView("c")], owners | {"shard:200": "c"}, 3, weights)
    after = cluster.after(cluster.plan())
    assert "shard:7" in after.shards_of("a")
    assert 10.1 < after.load("a") < 10.01 + 13 / 3 / 20


def test_heavy_shards_move_rather_than_many_light_ones() -> None:
    """Light ones only make up what is left to the mean."""
    weights = {f"shard:{n}": 10.0 if n < 10 else 0.1 for n in range(110)}
    cluster = Cluster([HostView("a"), HostView("b")], dict.fromkeys(weights, "a"), 2, weights)
    assert Counter(weights[move.unit] for move in cluster.plan()) == {10.0: 5, 0.1: 50}


def test_what_is_lost_is_dealt_out_the_heaviest_first() -> None:
    """So that the light ones fill the gaps."""
    weights = {"shard:0": 20.0, "shard:1": 20.0, "shard:2": 1.0, "shard:3": 1.0, "shard:4": 2.0}
    owners = dict.fromkeys(weights, "dead") | {"shard:0": "a", "shard:1": "b"}
    cluster = Cluster([HostView("a"), HostView("b")], owners, 2, weights)
    after = cluster.after(cluster.plan())
    assert (after.load("a"), after.load("b")) == (22.0, 22.0)


def test_a_host_whose_only_shard_is_pinned_is_an_owner_and_keeps_it() -> None:
    """It gets others when it has least to do."""
    owners = {f"shard:{n}": "a" if n == 0 else "b" for n in range(10)}
    moves = Cluster([HostView("a"), HostView("b")], owners, 2, pins={"shard:0": "a"}).plan()
    assert [(move.source, move.target) for move in moves] == [("b", "a")] * 4


def test_what_a_host_has_to_do_beside_its_units_counts() -> None:
    """It gets fewer shards for it."""
    hosts = [HostView("a"), HostView("b", load=4.0)]
    assert len(Cluster(hosts, {f"shard:{n}": "a" for n in range(10)}, 2).plan()) == 3


def test_where_hosts_have_one_shard_or_two_none_moves_to_swap_their_roles() -> None:
    """Somebody has two, whoever it is."""
    owners = {"shard:0": "a", "shard:1": "a", "shard:2": "b", "shard:3": "c"}
    weights = {"shard:0": 1.0, "shard:1": 1.0, "shard:2": 0.99, "shard:3": 0.9}
    assert Cluster([HostView("a"), HostView("b"), HostView("c")], owners, 3, weights).plan() == []


def test_idle_shards_are_spread_by_number() -> None:
    """Without any load there is nothing else to go by."""
    cluster = replace(even(1, 100, standbys=1), wanted=2)
    idle = replace(cluster, weights=dict.fromkeys(cluster.owners, 0.0))
    assert len(idle.plan()) == 50


def test_a_pinned_session_stays_when_shards_move_and_counts_as_load() -> None:
    """Two shards leave in place of it."""
    owners = {f"shard:{n}": "a" for n in range(8)} | {"session:hot": "a"}
    cluster = Cluster(
        [HostView("a"), HostView("b")], owners, 2, weights={"session:hot": 4.0}, pins={"session:hot": "a"}
    )
    moves = cluster.plan()
    assert len(moves) == 6
    assert "session:hot" not in {move.unit for move in moves}


def test_a_session_goes_to_the_host_that_it_is_pinned_to() -> None:
    """That is how an explicit migration is asked for."""
    owners = {"shard:0": "a", "shard:1": "b", "session:x": "a"}
    cluster = Cluster([HostView("a"), HostView("b")], owners, 2, pins={"session:x": "b"}, weights={"session:x": 0.0})
    assert cluster.plan() == [Move("session:x", "a", "b")]


def test_a_pinned_session_of_a_dead_host_goes_to_the_owner_with_the_least_to_do() -> None:
    """Never to a host that is dedicated to another session."""
    owners = {"shard:0": "a", "shard:1": "a", "shard:2": "b", "session:x": "dead"}
    hosts = [HostView("a"), HostView("b"), HostView("own", dedicated=True)]
    assert Cluster(hosts, owners, 2, pins={"session:x": "dead"}).plan() == [Move("session:x", None, "b")]


def test_a_dedicated_session_of_a_dead_host_goes_to_a_standby_and_else_waits_for_one() -> None:
    """It must not share a process because its host died."""
    owners = {"shard:0": "a", "session:x": "dead"}
    alone = Cluster([HostView("a")], owners, 1, pins={"session:x": "dead"}, dedicated=frozenset(["session:x"]))
    assert alone.plan() == []
    served = replace(alone, hosts=[HostView("a"), HostView("standby")])
    assert served.plan() == [Move("session:x", None, "standby")]


def test_an_empty_dedicated_host_is_a_dedicated_sessions_first_choice() -> None:
    """The standby stays for losses of shards."""
    owners = {"shard:0": "a", "session:x": "dead"}
    hosts = [HostView("a"), HostView("standby"), HostView("own", dedicated=True)]
    assert Cluster(hosts, owners, 1, dedicated=frozenset(["session:x"])).plan() == [Move("session:x", None, "own")]


def test_what_a_draining_dedicated_host_serves_gets_a_host_of_its_own_again() -> None:
    """By the host's flag, whatever else is said of the session."""
    hosts = [HostView("a"), HostView("own", draining=True, dedicated=True), HostView("standby")]
    assert Cluster(hosts, {"shard:0": "a", "session:x": "own"}, 1).plan() == [Move("session:x", "own", "standby")]


def test_a_standby_that_serves_a_session_takes_no_shards_while_anybody_else_can() -> None:
    """It has become that session's own host; with nobody else, shards come before solitude."""
    owners = {"shard:0": "a", "shard:1": "a", "session:x": "b"}
    cluster = Cluster([HostView("a"), HostView("b")], owners, 2)
    assert cluster.plan() == []
    assert {move.target for move in without(cluster, "a").plan()} == {"b"}


def test_shards_on_a_dedicated_host_leave_it() -> None:
    """Should a host become one while it has some."""
    moves = changed(even(2, 4), "host-1", dedicated=True).plan()
    assert {(move.source, move.target) for move in moves} == {("host-1", "host-0")}


def test_there_are_never_more_owners_than_shards() -> None:
    """Nobody is left without a shard so that another may have one."""
    assert replace(even(4, 4, standbys=2), wanted=6).plan() == []


@pytest.mark.parametrize("hosts", [[], [HostView("a", draining=True), HostView("b", draining=True)]])
def test_with_nobody_to_take_a_unit_nothing_moves(hosts: list[HostView]) -> None:
    """No host, or all of them draining."""
    assert Cluster(hosts, {"shard:0": "a", "shard:1": "dead", "session:x": "b"}, 2).plan() == []
