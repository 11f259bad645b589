"""The planner: laws over any cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import assume, example, given
from hypothesis import strategies as st

from dspex_actors.sessions.planner import HostView
from tests.unit.sessions.planning import DEAD, NAMES, SESSIONS, SHARDS, Cluster, even, without


@st.composite
def clusters(draw: st.DrawFn, weighted: bool = True, pinned: bool = True) -> Cluster:
    """Anything that placement may find: dead owners, draining and dedicated hosts, hot and idle shards, pins."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    flag = st.sampled_from([False, False, False, True])
    load = st.sampled_from([0.0, 0.0, 1.5])
    nodes = st.sampled_from(["north", "south"])
    hosts = [HostView(name, draw(nodes), draw(load), draw(flag), draw(flag)) for name in names]
    somewhere = st.sampled_from(names + DEAD)
    units = SHARDS[: draw(st.integers(0, len(SHARDS)))] + SESSIONS[: draw(st.integers(0, 5)) if pinned else 0]
    owners = {unit: draw(somewhere) for unit in units}
    some = st.sampled_from(units or SHARDS)
    weight = st.one_of(st.sampled_from([0.0, 1.0, 5.0]), st.floats(0, 10))
    weights = draw(st.dictionaries(some, weight)) if weighted else {}
    pins = draw(st.dictionaries(some, somewhere, max_size=4)) if pinned else {}
    dedicated = draw(st.frozensets(st.sampled_from(SESSIONS), max_size=2))
    return Cluster(hosts, owners, draw(st.integers(0, 6)), weights, pins, dedicated)


OVERSHOT = {"shard:0": 5.0, "shard:1": 4.9, "shard:2": 1.0, "shard:3": 1.0, "shard:4": 1.0}
"""The first two on one host, the others on another: a heavy shard goes one way, then a light one the other."""


@given(clusters())
@example(
    Cluster(
        [HostView("host-0"), HostView("host-1")],
        {unit: "host-0" if weight > 1 else "host-1" for unit, weight in OVERSHOT.items()},
        2,
        OVERSHOT,
    )
)
def test_what_has_been_carried_out_leaves_nothing_to_do(cluster: Cluster) -> None:
    """Planning again moves nothing: no unit travels for ever."""
    assert cluster.after(cluster.plan()).plan() == []


@given(clusters())
@example(Cluster([HostView("host-0")], {"shard:0": "dead-1"}, 0))
def test_a_move_is_one_of_a_unit_from_its_owner_to_a_living_host_that_may_have_it(cluster: Cluster) -> None:
    """No unit twice, none to where it is, none to a dead, a draining or, if a shard, a dedicated host."""
    moves = cluster.plan()
    hosts = {host.name: host for host in cluster.hosts}
    assert len({move.unit for move in moves}) == len(moves)
    for unit, source, target in moves:
        owner = cluster.owners[unit]
        assert source == (owner if owner in hosts else None)
        assert target != owner
        assert not hosts[target].draining
        assert unit.startswith("session:") or not hosts[target].dedicated


@given(clusters())
def test_a_plan_is_a_function_of_its_arguments(cluster: Cluster) -> None:
    """The order of units, weights and pins decides nothing."""

    owners, weights = dict(reversed(cluster.owners.items())), dict(reversed(cluster.weights.items()))
    again = replace(cluster, owners=owners, weights=weights, pins=dict(reversed(cluster.pins.items())))
    assert cluster.plan() == again.plan()


@given(clusters())
def test_no_shard_is_left_on_a_host_that_is_leaving_while_somebody_can_take_it(cluster: Cluster) -> None:
    """Whoever that is."""
    lonely = {cluster.owners.get(unit) for unit in cluster.dedicated} | {
        cluster.pins.get(unit) for unit in cluster.dedicated
    }
    assume([host for host in cluster.takers() if host.name not in lonely])
    after = cluster.after(cluster.plan())
    staying = {host.name for host in cluster.takers()}
    assert {owner for unit, owner in after.owners.items() if unit.startswith("shard:")} <= staying


@given(clusters())
def test_a_session_leaves_a_host_that_stays_only_for_the_one_it_is_pinned_to(cluster: Cluster) -> None:
    """Loads are evened out with shards."""
    staying = {host.name for host in cluster.hosts if not host.draining}
    for unit, source, target in cluster.plan():
        if unit.startswith("session:") and source in staying:
            assert cluster.pins[unit] == target


@given(clusters())
def test_a_unit_is_on_the_host_that_it_is_pinned_to_if_that_can_have_it(cluster: Cluster) -> None:
    """It lives, does not drain, and is not dedicated if the unit is a shard."""
    after = cluster.after(cluster.plan())
    hosts = {host.name: host for host in cluster.hosts if not host.draining}
    for unit, name in cluster.pins.items():
        if unit in after.owners and name in hosts and (unit.startswith("session:") or not hosts[name].dedicated):
            assert after.owners[unit] == name


@given(clusters(pinned=False))
def test_owners_stay_owners_and_become_no_more_than_are_wanted(cluster: Cluster) -> None:
    """Nobody is emptied, and standbys are left if there are enough of the others."""
    before = cluster.shard_owners()
    after = cluster.after(cluster.plan()).shard_owners()
    assert set(before) <= set(after)
    assert len(after) <= max(len(before), cluster.wanted, 1)


@given(clusters(pinned=False))
def test_as_many_own_shards_as_are_wanted_if_there_are_so_many_hosts_and_shards(cluster: Cluster) -> None:
    """A standby waits only while it is not needed."""
    after = cluster.after(cluster.plan())
    idle = [host for host in cluster.takers() if host.name not in after.owners.values()]
    if len(after.shard_owners()) < cluster.wanted and idle:
        assert len(after.shard_owners()) == len(cluster.owners)


@given(st.integers(1, 6), st.integers(0, 6), st.integers(1, 12), st.integers(1, 200))
def test_when_hosts_join_an_even_cluster_shards_move_to_them_only(
    hosts: int, joining: int, wanted: int, shards: int
) -> None:
    """Nothing moves between hosts that both stay, and no more than the newcomers' share."""
    cluster = replace(even(hosts, shards, standbys=joining), wanted=wanted)
    assume(shards >= 10 * (hosts + joining))
    moves = cluster.plan()
    new = max(0, min(joining, wanted - hosts))
    assert {move.target for move in moves} == {f"host-{hosts + number}" for number in range(new)}
    assert len(moves) <= new * -(-shards // (hosts + new))
    counts = Counter(cluster.after(moves).owners.values()).values()
    assert max(counts) - min(counts) <= 1


@given(st.integers(2, 6), st.data())
def test_one_lost_host_of_an_even_cluster_has_one_heir_if_there_is_a_standby(hosts: int, data: st.DataObject) -> None:
    """Whichever it is; nothing else moves."""
    lost = data.draw(st.sampled_from([f"host-{number}" for number in range(hosts)]))
    moves = without(even(hosts, standbys=1), lost).plan()
    assert {move.target for move in moves} == {f"host-{hosts}"}
    assert len(moves) == len(even(hosts).shards_of(lost))


@given(clusters(pinned=False))
def test_nothing_but_a_tenth_above_the_mean_moves_a_unit_of_a_host_that_stays(cluster: Cluster) -> None:
    """With nobody leaving, nobody joining and no pins, small differences are let be."""
    calm = [HostView(host.name, host.node, host.load) for host in cluster.hosts]
    owners = {unit: owner for unit, owner in cluster.owners.items() if owner not in DEAD}
    still = replace(cluster, hosts=calm, owners=owners, wanted=1)
    names = still.shard_owners()
    loads = [still.load(name) for name in names]
    if loads and max(loads) <= 1.09 * sum(loads) / len(loads):
        assert still.plan() == []
    assert {move.source for move in still.plan()} <= set(names)


@given(clusters())
def test_balancing_never_raises_the_highest_load(cluster: Cluster) -> None:
    """With nobody leaving and nobody joining."""
    owners = {unit: owner for unit, owner in cluster.owners.items() if owner not in DEAD}
    calm = [HostView(host.name, host.node, host.load) for host in cluster.hosts]
    still = replace(cluster, hosts=calm, owners=owners, wanted=1, pins={})
    after = still.after(still.plan())
    if still.shard_owners():
        highest = max(still.load(name) for name in still.shard_owners())
        assert max(after.load(name) for name in after.shard_owners()) <= highest + 1e-6


@given(st.lists(st.floats(0.01, 0.5), min_size=60, max_size=200), st.integers(2, 4))
def test_units_that_are_small_enough_end_up_balanced(weights: list[float], hosts: int) -> None:
    """Wherever they were: max/mean is at most 1.1 if no unit is more than a small part of a host's load."""
    assume(max(weights) * hosts <= 0.1 * sum(weights))
    units = {f"shard:{number}": weight for number, weight in enumerate(weights)}
    views = [HostView(name) for name in NAMES[:hosts]]
    cluster = Cluster(views, dict.fromkeys(units, NAMES[0]), hosts, units)
    after = cluster.after(cluster.plan())
    loads = [after.load(name) for name in NAMES[:hosts]]
    assert max(loads) <= 1.1 * sum(loads) / hosts + 1e-6


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, str]]:
    """What becomes of hosts, one after the other."""
    event = st.tuples(st.sampled_from(["dies", "comes", "drains"]), st.sampled_from(NAMES))
    return draw(st.lists(event, max_size=12))


@given(histories())
def test_whatever_becomes_of_hosts_every_shard_has_one_owner_who_lives(history: list[tuple[str, str]]) -> None:
    """Deaths, joins and drains in any order, planned and carried out one by one."""
    cluster = Cluster([HostView("root")], dict.fromkeys(SHARDS, "root"), 4)
    for what, name in history:
        rest = [host for host in cluster.hosts if host.name != name]
        came = [] if what == "dies" else [HostView(name, draining=what == "drains")]
        cluster = replace(cluster, hosts=rest + came)
        cluster = cluster.after(cluster.plan())
        counts = Counter(cluster.owners.values())
        assert set(counts) <= {host.name for host in cluster.takers()}
        assert len(counts) == min(4, len(cluster.takers()))
        assert max(counts.values()) <= 1.1 * len(SHARDS) / len(counts) + 1
