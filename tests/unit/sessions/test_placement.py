"""Placement's plan: laws over any owners and hosts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.ids import SHARDS
from dspex_actors.sessions.placement import HostInfo, first_owners, plan, readable_by_all

NAMES = [f"host-{number}" for number in range(6)]
owned = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 400))
alive_hosts = st.lists(st.sampled_from(NAMES), unique=True)


@given(owned, alive_hosts, st.integers(1, 4))
def test_no_unit_is_left_on_a_dead_host_while_anybody_lives(
    held: dict[str, int], alive: list[str], wanted: int
) -> None:
    """Every dead owner has one heir, who lives."""
    heirs = plan(held, alive, wanted)
    assert heirs.keys() == (held.keys() - set(alive) if alive else set())
    assert set(heirs.values()) <= set(alive)


@given(owned, alive_hosts, st.integers(1, 4))
def test_a_standby_comes_first_while_owners_are_fewer_than_wanted(
    held: dict[str, int], alive: list[str], wanted: int
) -> None:
    """And nobody else's load grows then."""
    owning = held.keys() & set(alive)
    standbys = [name for name in alive if name not in owning]
    if len(held.keys() - set(alive)) == 1 and standbys and len(owning) < wanted:
        assert list(plan(held, alive, wanted).values()) == [standbys[0]]


@given(owned, alive_hosts, st.integers(1, 4))
def test_with_enough_owners_standbys_stay_standbys(held: dict[str, int], alive: list[str], wanted: int) -> None:
    """The one that owns the fewest takes the orphans."""
    counts = {name: held[name] for name in alive if name in held}
    if len(held.keys() - set(alive)) == 1 and len(counts) >= wanted:
        (heir,) = plan(held, alive, wanted).values()
        assert counts[heir] == min(counts.values())


@given(owned, alive_hosts, st.integers(1, 4))
def test_a_plan_is_a_function_of_its_arguments(held: dict[str, int], alive: list[str], wanted: int) -> None:
    """The order of the owners does not choose the heirs."""
    backwards = dict(reversed(held.items()))
    assert plan(held, alive, wanted) == plan(backwards, alive, wanted)


@given(st.lists(st.sampled_from(NAMES), unique=True, min_size=1), st.integers(0, 8))
def test_the_first_owners_have_all_shards_evenly(hosts: list[str], wanted: int) -> None:
    """The first `wanted` hosts, at least one."""
    owned = Counter(first_owners(hosts, wanted).values())
    assert sum(owned.values()) == SHARDS
    assert list(owned) == hosts[: max(1, wanted)]
    assert max(owned.values()) - min(owned.values()) <= 1


def test_a_form_of_the_state_is_written_when_the_last_host_reads_it() -> None:
    """Standbys included; without hosts nobody reads any."""
    old = HostInfo("a", "/a", 1, 0.0, "n", 1)
    new = replace(old, name="b", state_version=2)
    assert [readable_by_all(hosts) for hosts in ([], [new], [new, old], [new, new])] == [0, 2, 1, 2]
