"""Placement's plan: laws over any leases and hosts."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.ids import SHARDS
from dspex_actors.sessions.placement import first_owners, plan
from dspex_actors.store.port import Lease

NAMES = [f"host-{number}" for number in range(6)]
owners = st.lists(st.sampled_from(NAMES), max_size=40)
alive_hosts = st.lists(st.sampled_from(NAMES), unique=True)


def leases_of(hosts: list[str]) -> list[Lease]:
    """One lease a name."""
    return [Lease(f"shard:{number}", 3, host) for number, host in enumerate(hosts)]


@given(owners, alive_hosts, st.integers(1, 4))
def test_no_unit_is_left_on_a_dead_host_while_anybody_lives(held: list[str], alive: list[str], wanted: int) -> None:
    """Each orphan is taken over exactly once, by somebody who lives."""
    leases = leases_of(held)
    moves = plan(leases, alive, wanted)
    orphans = [lease for lease in leases if lease.host not in alive]
    moved = [lease for taken in moves.values() for lease in taken]
    assert sorted(moved, key=lambda lease: lease.unit) == sorted(orphans if alive else [], key=lambda lease: lease.unit)
    assert set(moves) <= set(alive)


@given(owners, alive_hosts, st.integers(1, 4))
def test_a_dead_hosts_units_go_together(held: list[str], alive: list[str], wanted: int) -> None:
    """To one heir."""
    moves = plan(leases_of(held), alive, wanted)
    heirs = {(lease.host, heir) for heir, taken in moves.items() for lease in taken}
    assert len(heirs) == len({lost for lost, _ in heirs})


@given(owners, alive_hosts, st.integers(1, 4))
def test_a_standby_comes_first_while_owners_are_fewer_than_wanted(
    held: list[str], alive: list[str], wanted: int
) -> None:
    """And nobody else's load grows then."""
    leases = leases_of(held)
    owning = {lease.host for lease in leases} & set(alive)
    standbys = [name for name in alive if name not in owning]
    lost = {lease.host for lease in leases} - set(alive)
    if len(lost) == 1 and standbys and len(owning) < wanted:
        assert list(plan(leases, alive, wanted)) == [standbys[0]]


@given(owners, alive_hosts, st.integers(1, 4))
def test_with_enough_owners_standbys_stay_standbys(held: list[str], alive: list[str], wanted: int) -> None:
    """The one that owns the fewest takes the orphans."""
    leases = leases_of(held)
    counts = Counter(lease.host for lease in leases if lease.host in alive)
    lost = {lease.host for lease in leases} - set(alive)
    if len(lost) == 1 and len(counts) >= wanted:
        (heir,) = plan(leases, alive, wanted)
        assert counts[heir] == min(counts.values())


@given(owners, alive_hosts, st.integers(1, 4))
def test_a_plan_is_a_function_of_its_arguments(held: list[str], alive: list[str], wanted: int) -> None:
    """The order of the leases does not choose the heirs."""
    leases = leases_of(held)
    heirs = [
        {lease.host: heir for heir, taken in plan(given_leases, alive, wanted).items() for lease in taken}
        for given_leases in (leases, leases[::-1])
    ]
    assert heirs[0] == heirs[1]


@given(st.lists(st.sampled_from(NAMES), unique=True, min_size=1), st.integers(0, 8))
def test_the_first_owners_have_all_shards_evenly(hosts: list[str], wanted: int) -> None:
    """The first `wanted` hosts, at least one."""
    owned = Counter(first_owners(hosts, wanted).values())
    assert sum(owned.values()) == SHARDS
    assert list(owned) == hosts[: max(1, wanted)]
    assert max(owned.values()) - min(owned.values()) <= 1
