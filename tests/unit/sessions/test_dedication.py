"""Dedicated sessions: who needs a host, who may have one, and that nobody else gets it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.ids import unit_of_session
from dspex_actors.resources.session import Guest
from dspex_actors.sessions.dedication import Guests, removable
from dspex_actors.sessions.planner import HostView
from dspex_actors.sessions.units import Carry, Units, idle_hosts
from dspex_actors.store.port import NOBODY, Lease

NAMES = [f"h{number}" for number in range(8)]


def guest(uid: str, host: str = NOBODY, epoch: int = 5) -> tuple[Guest, Lease]:
    """A dedicated session whose lease that host has."""
    return Guest(uid, f"id-{uid}"), Lease(unit_of_session(uid), epoch, host)


def guests_of(*found: tuple[Guest, Lease], limit: int = 8) -> tuple[Guests, Units]:
    """What the store says, taken in, beside one shard at the host `a`."""
    units = Units([Lease("shard:0", 1, "a")])
    guests = Guests(units, limit)
    guests.refresh(found)
    return guests, units


def test_one_that_never_had_a_host_needs_one() -> None:
    """And no longer, once a host that is told has its lease."""
    guests, units = guests_of(guest("x"))
    assert guests.homeless({}, {"a", "b"}, ()) == ["x"]
    units.learn([Lease("session:x", 6, "b")])
    assert guests.homeless({"b": "x"}, {"a", "b"}, ()) == []


def test_one_whose_host_is_lost_or_leaves_needs_another_but_not_one_whose_host_is_hidden() -> None:
    """A host that has not attached again after a restart of placement may live."""
    guests, _ = guests_of(guest("x", "b"))
    assert guests.homeless({}, {"a"}, ()) == ["x"]
    assert guests.homeless({"b": "x"}, {"a"}, ()) == ["x"]
    assert guests.homeless({}, {"a"}, {"b"}) == []


def test_the_oldest_up_to_the_limit_are_admitted_and_nobody_who_had_a_host_is_sent_away() -> None:
    """Also when the limit has shrunk."""
    guests, units = guests_of(guest("p"), guest("q", "lost"), guest("r"), limit=2)
    assert guests.admitted() == ["q", "p"]
    assert guests.homeless({}, {"a"}, ()) == ["q", "p"]
    shrunk = Guests(units, 0)
    shrunk.refresh([guest("p"), guest("q", "lost")])
    assert shrunk.admitted() == ["q"]


def test_a_host_whose_session_is_gone_or_elsewhere_is_left_behind() -> None:
    """Not one to which its session is on its way."""
    guests, _ = guests_of(guest("x", "b"))
    hosts = {"b": "x", "c": "x", "d": "deleted"}
    assert guests.left_behind(hosts, ()) == ["c", "d"]
    assert guests.left_behind(hosts, {"x"}) == ["d"]


def test_a_deleted_session_is_forgotten() -> None:
    """Its lease too."""
    guests, units = guests_of(guest("x", "b"))
    guests.refresh([])
    assert "x" not in guests
    assert units.of("b") == []


def test_a_lost_host_of_a_dedicated_session_has_no_heir() -> None:
    """The session waits for a host of its own: it never becomes its shard's."""
    _, units = guests_of(guest("x", "lost"), guest("y"))
    plan = units.plan([HostView("a"), HostView("b")], wanted=1)
    assert (plan.heirs, plan.carries) == ({}, [])
    units.forget_sessions_of("lost")
    assert [lease.unit for lease in units.of("lost")] == ["session:x"]


def test_hosts_are_for_shards_first() -> None:
    """While one of them has no host that lives, no standby may be taken."""
    _, units = guests_of()
    assert units.are_served({"a", "b"})
    assert not units.are_served({"b"})
    assert not Units().are_served({"b"})


@given(
    owners=st.lists(st.sampled_from(NAMES), min_size=1, max_size=12),
    homes=st.lists(st.sampled_from(NAMES), unique=True, max_size=5),
    living=st.sets(st.sampled_from(NAMES), min_size=1),
    draining=st.sets(st.sampled_from(NAMES)),
    wanted=st.integers(1, 4),
)
def test_whatever_is_lost_no_plan_lets_anybody_come_to_a_dedicated_host(
    owners: list[str], homes: list[str], living: set[str], draining: set[str], wanted: int
) -> None:
    """Nor takes it for a standby, nor moves a dedicated session."""
    units = Units([Lease(f"shard:{number}", 1, host) for number, host in enumerate(owners) if host not in homes])
    Guests(units, 8).refresh(guest(f"u{number}", host) for number, host in enumerate(homes))
    views = [HostView(name, draining=name in draining, dedicated=name in homes) for name in sorted(living)]
    plan = units.plan(views, wanted)
    moved = [(heir, lease) for heirs in plan.heirs.values() for heir, leases in heirs.items() for lease in leases]
    moved += [(carry.target, lease) for carry in plan.carries for lease in carry.leases]
    assert not {target for target, _ in moved} & set(homes)
    assert all(lease.unit.startswith("shard:") for _, lease in moved)
    assert not set(idle_hosts(views, units)) & set(homes)


def test_a_shared_session_on_a_dedicated_host_goes_home() -> None:
    """Once: not again while it is on its way."""
    _, units = guests_of(guest("x", "b"))
    stray = Lease("session:s", 9, "b")
    units.learn([stray])
    views = [HostView("a"), HostView("b", dedicated=True)]
    (carry,) = units.plan(views, wanted=1).carries
    assert carry == Carry("b", "a", (stray,))
    units.begin(carry)
    assert units.plan(views, wanted=1).carries == []


def test_a_host_that_has_a_dedicated_session_is_dedicated_whatever_is_said_of_it() -> None:
    """It has not said yet whom it is for: it inherits nothing."""
    _, units = guests_of(guest("x", "b"))
    units.learn([Lease("shard:0", 2, "lost")])
    plan = units.plan([HostView("b"), HostView("c")], wanted=1)
    assert {lost: list(heirs) for lost, heirs in plan.heirs.items()} == {"lost": ["c"]}
    assert units.plan([HostView("b")], wanted=1).heirs == {}


def test_one_that_is_getting_a_host_counts_as_having_one() -> None:
    """Or an older one, of which is heard later, would be one too many."""
    units = Units([Lease("shard:0", 1, "a")])
    guests = Guests(units, 1, moving={"q"})
    guests.refresh([guest("p"), guest("q")])
    assert guests.admitted() == ["q"]


def test_a_session_that_leaves_its_host_needs_two_until_it_has_left() -> None:
    """Where there are no standbys it would never leave otherwise."""
    units, moving = Units([Lease("shard:0", 1, "a")]), set[str]()
    guests = Guests(units, 8, moving)
    guests.refresh([guest("x", "b"), guest("y", "c")])
    hosts = {"b": "x", "c": "y", "d": "y"}
    assert guests.hosts_wanted(hosts, ()) == 2
    assert guests.hosts_wanted(hosts, {"a", "b", "d"}) == 3
    moving.add("y")
    assert guests.hosts_wanted(hosts, {"b"}) == 4
    units.learn([Lease("session:x", 6, "e")])
    assert guests.hosts_wanted(hosts | {"e": "x"}, {"b"}) == 3


def test_one_without_a_lease_is_not_moved() -> None:
    """It was deleted, and its guest is about to be."""
    guests, units = guests_of(guest("x"))
    assert (guests.moving("x") is not None, guests.is_waiting("x")) == (True, True)
    units.forget("session:x")
    assert (guests.moving("x"), guests.is_waiting("x")) == (None, True)


def test_of_hosts_that_are_too_many_those_go_first_that_leave_anyway() -> None:
    """As soon as they have given everything away: another one would come after each, and be too many then."""
    units = Units([Lease("shard:0", 1, "a"), Lease("shard:1", 1, "left")])
    views = [HostView("a"), HostView("empty", draining=True), HostView("idle")]
    assert removable(views, units) == ["empty", "idle"]
    with units.expecting("empty"):
        assert removable(views, units) == []


def test_each_host_that_still_leaves_keeps_one_idle_host_from_being_ended_and_no_more() -> None:
    """What it has goes there; the others are too many all the same, and a dedicated one is never idle."""
    guests, units = guests_of(guest("x", "b"))
    views = [HostView("a", draining=True), HostView("b", dedicated=True), *map(HostView, "cde")]
    assert removable(views, units) == ["c", "d"]
    assert removable([*views[:1], HostView("b", draining=True, dedicated=True), *views[2:]], units) == ["c"]
    guests.refresh([])
    assert removable([HostView("a"), HostView("b", draining=True, dedicated=True)], units) == ["b"]
