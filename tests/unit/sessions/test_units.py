"""What placement knows of the units, and what it has moved."""

from __future__ import annotations

from dspex_actors.sessions.planner import HostView
from dspex_actors.sessions.units import Carry, Units, idle_hosts
from dspex_actors.store.port import Lease

A, B, C = HostView("a"), HostView("b"), HostView("c")


def shards(*owners: str) -> list[Lease]:
    """A lease of each shard from 0 on, at epoch 1."""
    return [Lease(f"shard:{number}", 1, owner) for number, owner in enumerate(owners)]


def test_the_units_of_a_lost_host_have_one_heir() -> None:
    """A standby, as long as owners are wanted."""
    plan = Units(shards("a", "lost", "lost")).plan([A, B], wanted=2)
    assert {lost: list(heirs) for lost, heirs in plan.heirs.items()} == {"lost": ["b"]}
    assert plan.carries == []


def test_a_draining_host_hands_everything_over() -> None:
    """To the standby."""
    leases = shards("a", "a")
    plan = Units(leases).plan([HostView("a", draining=True), B], wanted=1)
    assert (plan.heirs, plan.carries) == ({}, [Carry("a", "b", tuple(leases))])


def test_what_is_on_its_way_is_not_planned_again() -> None:
    """It counts as there; when it has not arrived, it is planned anew."""
    units = Units(shards("a", "a"))
    drained = HostView("a", draining=True)
    (carry,) = units.plan([drained, B], wanted=1).carries
    units.begin(carry)
    assert units.plan([drained, B], wanted=1).carries == []
    units.end(carry)
    assert units.plan([drained, B], wanted=1).carries == [carry]


def test_what_was_on_its_way_from_a_host_that_died_is_inherited_at_once() -> None:
    """Nobody waits for the answer of a dead host."""
    units = Units(shards("a", "a"))
    units.begin(Carry("a", "b", tuple(units.all)))
    assert list(units.plan([B], wanted=1).heirs) == ["a"]


def test_a_hidden_host_keeps_what_it_has() -> None:
    """It may be about to attach; and it counts as an owner."""
    units = Units(shards("a", "hidden"))
    assert units.plan([A, B], wanted=2, hidden={"hidden"}).heirs == {}
    assert units.plan([A, B], wanted=2, hidden={"hidden"}).carries == []


def test_a_lost_host_that_had_sessions_of_their_own_alone_is_inherited_too() -> None:
    """Nothing moves to the heir, but the store gives them back to their shards: nobody else would."""
    units = Units([*shards("a"), Lease("session:x", 9, "lost")])
    assert units.plan([A], wanted=1).heirs == {"lost": {"a": []}}
    assert units.plan([A], wanted=1, hidden={"lost"}).heirs == {}
    assert units.plan([], wanted=1).heirs == {}
    assert units.plan([HostView("lost"), A], wanted=1).heirs == {}
    units.forget_sessions_of("lost")
    assert [lease.unit for lease in units.all] == ["shard:0"]


def test_what_is_newer_stays_when_older_news_comes() -> None:
    """Answers may overtake each other."""
    units = Units([Lease("shard:0", 3, "a")])
    units.learn([Lease("shard:0", 2, "b"), Lease("shard:1", 1, "b")])
    assert sorted(units.all) == [Lease("shard:0", 3, "a"), Lease("shard:1", 1, "b")]


def test_a_session_is_served_under_its_own_lease_or_its_shards() -> None:
    """Its own comes first."""
    units = Units([Lease("shard:7", 1, "a")])
    assert units.of_session("x", 7) == Lease("shard:7", 1, "a")
    units.learn([Lease("session:x", 1 << 20, "b")])
    assert (units.of_session("x", 7), units.home(7)) == (Lease("session:x", 1 << 20, "b"), "a")
    units.forget("session:x")
    assert units.of_session("x", 7) == Lease("shard:7", 1, "a")


def test_sessions_with_leases_of_their_own_are_carried_each_by_itself() -> None:
    """What has arrived is planned again, whatever is still on its way."""
    own = [Lease("session:x", 9, "a"), Lease("session:y", 9, "a")]
    units = Units([*shards("a"), *own])
    (carry,) = units.plan([HostView("a", draining=True), B], wanted=1).carries
    units.begin(carry)
    first, rest = carry.parted()
    assert (first.leases, [one.leases for one in rest]) == (tuple(shards("a")), [(own[0],), (own[1],)])
    units.learn([Lease("shard:0", 2, "b")])
    units.end(first)
    assert units.plan([HostView("b", draining=True), C], wanted=1).carries == [
        Carry("b", "c", (Lease("shard:0", 2, "b"),))
    ]


def test_a_host_with_nothing_to_do_is_idle() -> None:
    """Not one that has units or gets some, drains, or is on probation."""
    units = Units([*shards("a", "a"), Lease("session:u", 1, "c")])
    hosts = [A, B, C, HostView("d", draining=True), HostView("e", dedicated=True), HostView("f")]
    assert idle_hosts(hosts, units) == ["b", "f"]
    units.begin(Carry("a", "b", (Lease("shard:1", 1, "a"),)))
    assert idle_hosts(hosts, units) == ["f"]


def test_a_host_on_probation_inherits_nothing() -> None:
    """Also when it is the only one without shards: they go to an owner."""
    probation = HostView("b", dedicated=True)
    units = Units([*shards("lost", "a"), Lease("session:u", 1, "b")])
    plan = units.plan([A, probation], wanted=2)
    assert {lost: list(heirs) for lost, heirs in plan.heirs.items()} == {"lost": ["a"]}
    assert plan.carries == []


def test_hosts_of_sessions_alone_are_known() -> None:
    """When one is lost nothing of it is inherited, and its sessions are their shards' again."""
    units = Units([*shards("a"), Lease("session:u", 1, "a"), Lease("session:v", 1, "lost")])
    assert units.session_hosts == {"lost"}


def test_a_host_that_something_is_on_its_way_to_is_not_idle() -> None:
    """Nobody else takes it meanwhile, not even when one of two has arrived."""
    units = Units(shards("a"))
    with units.expecting("b"):
        with units.expecting("b"):
            assert units.is_expected("b")
        assert idle_hosts([A, B, C], units) == ["c"]
    assert idle_hosts([A, B, C], units) == ["b", "c"]
