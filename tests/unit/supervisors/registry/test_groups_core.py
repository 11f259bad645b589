"""What a group is, over a table."""

from __future__ import annotations

import doctest

import pytest

from supervisors import groups_core
from supervisors.entries import Died, Holder, Remove, Update
from supervisors.groups_core import Joined, Left, RoundRobin, To, at_random, chosen, group_event, groups_with_members
from tests.unit.supervisors.registry.clerk import add, directory, life

HERE, THERE = life("here", 1, "n1"), life("there", 1, "n2")


def test_a_process_that_joined_twice_is_a_member_twice_and_leaves_twice() -> None:
    """As in pg."""
    scope = directory("duplicate", add("g", HERE, id_="1"), add("g", HERE, id_="2"))
    assert groups_core.members(scope.books["names"], "g") == (HERE, HERE)
    scope.perform(Remove("names", ("2",)))
    assert groups_core.members(scope.books["names"], "g") == (HERE,)


def test_a_group_exists_while_it_has_members() -> None:
    """Here or anywhere."""
    scope = directory("duplicate", add("g", HERE), add("h", THERE))
    table = scope.books["names"]
    assert (groups_with_members(table), groups_with_members(table, "n1")) == (("g", "h"), ("g",))
    scope.perform(Died(THERE))
    assert groups_with_members(table) == ("g",)


def test_entries_that_come_and_go_are_joins_and_leaves() -> None:
    """A new value is neither."""
    scope = directory("duplicate")
    (joined,) = scope.perform(add("g", HERE, id_="1")).events
    (updated,) = scope.perform(Update("names", "1", 2)).events
    (left,) = scope.perform(Died(HERE)).events
    assert [group_event(e) for e in (joined, updated, left)] == [Joined("g", HERE), None, Left("g", HERE)]


@pytest.mark.parametrize(("to", "found"), [("all", (HERE, THERE)), ("local", (THERE,)), ("one", (HERE,))])
def test_a_message_goes_to_all_to_those_here_or_to_one(to: To, found: tuple[Holder, ...]) -> None:
    """The one is whom the given choice picks."""
    table = directory("duplicate", add("g", HERE), add("g", THERE)).books["names"]
    assert chosen(table, "g", to, "n2", RoundRobin()) == found
    assert chosen(table, "nobody", to, "n2", RoundRobin()) == ()


def test_each_group_has_its_own_turn() -> None:
    """One after the other, and from the start again."""
    turn = RoundRobin()
    picks = [turn(group, [HERE, THERE]) for group in "gghgg"]
    assert picks == [HERE, THERE, HERE, HERE, THERE]


def test_chance_picks_members_only() -> None:
    """Whoever it is."""
    assert at_random("g", [HERE, THERE]) in (HERE, THERE)


def test_the_examples_run() -> None:
    """Doctests."""
    assert doctest.testmod(groups_core).failed == 0
