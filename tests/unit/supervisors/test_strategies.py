"""Strategies: who is stopped and started again when a child dies, and in which order."""

from __future__ import annotations

import pytest

from supervisors import Exit, SupervisorSpec
from supervisors import messages as m
from supervisors.spec import Strategy
from tests.unit.supervisors.world import KILLED, SHUTDOWN, World, spec_of, specs_of, world_of


@pytest.mark.parametrize("dead", "abcd")
def test_one_for_one_restarts_the_dead_child_alone(dead: str) -> None:
    """Nobody else notices."""
    world = world_of("abcd")
    world.exits(dead)
    world.settle()
    assert (world.stopped(), world.started()) == ("", dead)


@pytest.mark.parametrize(("dead", "stopped"), [("a", "dcb"), ("b", "dca"), ("c", "dba"), ("d", "cba")])
def test_one_for_all_stops_the_others_in_reverse_and_starts_all_in_order(dead: str, stopped: str) -> None:
    """The next stop waits for the one before, the first start for the last stop."""
    world = world_of("abcd", strategy="one_for_all")
    world.exits(dead)
    world.settle()
    assert (world.stopped(), world.started()) == (stopped, "abcd")


@pytest.mark.parametrize(
    ("dead", "stopped", "started"), [("a", "dcb", "abcd"), ("b", "dc", "bcd"), ("c", "d", "cd"), ("d", "", "d")]
)
def test_rest_for_one_does_so_with_the_dead_child_and_those_after_it(dead: str, stopped: str, started: str) -> None:
    """Those before it are not touched."""
    world = world_of("abcd", strategy="rest_for_one")
    world.exits(dead)
    world.settle()
    assert (world.stopped(), world.started()) == (stopped, started)


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_restart_of_several_children_counts_once(strategy: str) -> None:
    """One stamp, however many they are."""
    world = world_of("abcd", strategy=strategy)
    world.exits("a")
    world.settle()
    assert len(world.state.stamps) == 1


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_child_that_was_terminated_comes_back_with_its_group(strategy: str) -> None:
    """In its old place."""
    world = world_of("abc", stopped="b", strategy=strategy)
    world.exits("a")
    world.settle()
    assert (world.stopped(), world.started()) == ("c", "abc")


def test_a_transient_child_that_ended_well_comes_back_with_its_group() -> None:
    """So does one whose start said `ignore`."""
    children = (spec_of("a"), spec_of("b", restart="transient"), spec_of("c"))
    world = World(SupervisorSpec(strategy="one_for_all", children=children)).up()
    world.exits("b", Exit("normal"))
    world.exits("a")
    world.settle()
    assert world.started(since=4) == "abc"


@pytest.mark.parametrize(("strategy", "left"), [("one_for_all", "bd"), ("rest_for_one", "abd")])
def test_a_temporary_child_is_stopped_with_its_group_and_dropped(strategy: Strategy, left: str) -> None:
    """Under rest_for_one only one that was started after the dead child."""
    children = tuple(spec_of(id_, restart="temporary" if id_ in "ac" else "permanent") for id_ in "abcd")
    world = World(SupervisorSpec(strategy=strategy, children=children)).up()
    world.exits("b")
    world.settle()
    assert "".join(world.state.slots) == left
    assert set(world.living) == set(left)


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_temporary_child_that_dies_takes_nobody_with_it(strategy: Strategy) -> None:
    """It is not restarted, so its group is not."""
    world = World(SupervisorSpec(strategy=strategy, children=(spec_of("a", restart="temporary"), spec_of("b")))).up()
    assert world.exits("a") == []
    assert list(world.living) == ["b"]


def test_a_child_that_start_child_brought_is_the_last_in_order() -> None:
    """It is stopped first and started last."""
    world = world_of("ab", strategy="one_for_all")
    world.ask(m.StartChild(spec_of("c")))
    world.exits("a")
    world.settle()
    assert (world.stopped(), world.started(since=1)) == ("cb", "abc")


def test_a_sibling_that_dies_before_it_is_asked_to_stop_is_no_further_restart() -> None:
    """Its exit is a part of the group's."""
    world = world_of("abc", strategy="one_for_all", restarts=1)
    world.exits("a")
    world.exits("b")
    world.settle()
    assert (world.stopped(), world.started(), world.left) == ("c", "abc", None)


def test_a_child_that_dies_again_during_its_group_s_restart_restarts_the_group_once_more() -> None:
    """When the first restart is over: one thing happens at a time."""
    world = world_of("abc", strategy="one_for_all", restarts=2)
    world.exits("c")
    world.stop_ends()
    world.stop_ends()
    world.start_succeeds()
    assert world.exits("a") == []
    world.settle()
    assert (world.started(), len(world.state.stamps)) == ("abcabc", 2)


def test_exits_that_come_together_restart_the_group_once() -> None:
    """The second was already gone when the group was stopped, although nobody had looked."""
    world = world_of("abc", strategy="rest_for_one", restarts=1)
    world.exits("b")
    world.exits("c")
    assert world.stopped() == "c"
    world.settle()
    assert (world.started(), len(world.state.stamps)) == ("bc", 1)


def test_an_exit_before_the_group_waits_for_the_group_s_end_and_counts_for_itself() -> None:
    """Under rest_for_one the earlier child then takes those after it along."""
    world = world_of("abc", strategy="rest_for_one", restarts=2)
    world.exits("b")
    world.exits("a")
    world.settle()
    assert (world.started(), world.stopped(), len(world.state.stamps)) == ("bcabc", "ccb", 2)


def test_calls_wait_for_the_end_of_a_group_s_restart_and_reads_do_not() -> None:
    """Those that wait for their turn in it are `restarting`."""
    world = world_of("abc", strategy="one_for_all")
    world.exits("a")
    ref = world.call(m.StartChild(spec_of("d")))
    rows = world.answers[world.call(m.WhichChildren())]
    assert [row.child if row.child == "restarting" else row.id for row in rows] == ["c", "b", "restarting"]
    world.settle()
    assert world.answers[ref] == world.state.slots["d"].child
    assert world.started() == "abcd"


def test_children_that_wait_for_their_turn_in_a_group_s_restart_are_restarting_and_not_active() -> None:
    """For which_children and count_children."""
    world = world_of("abc", strategy="one_for_all")
    world.exits("a")
    world.stop_ends()
    world.stop_ends()
    assert [row.child for row in world.answers[world.call(m.WhichChildren())]] == ["restarting"] * 3
    assert world.answers[world.call(m.CountChildren())].active == 0


def test_an_exit_while_a_call_is_served_waits_for_it_where_fates_are_shared() -> None:
    """A terminated child then comes back with the group, as if the call had come before the exit."""
    world = world_of("ab", strategy="one_for_all")
    ref = world.call(m.TerminateChild("b"))
    assert world.exits("a") == []
    effects = world.stop_ends()
    assert [type(effect) for effect in effects] == [m.Reply, m.Start]
    world.settle()
    assert (world.answers[ref], world.started()) == (None, "ab")


def test_an_exit_while_a_call_is_served_is_dealt_with_at_once_where_they_are_not() -> None:
    """One for one: a slow start holds nobody up."""
    world = world_of("a")
    world.call(m.StartChild(spec_of("b")))
    world.exits("a")
    assert world.started() == "ba"


def test_a_stop_in_the_middle_of_a_group_s_restart_starts_nothing_more() -> None:
    """What was being stopped is waited for, the rest stops in reverse."""
    world = world_of("abcd", strategy="one_for_all")
    world.exits("d")
    ref = world.call(m.TerminateChild("a"))
    world.send(m.Stop(SHUTDOWN))
    world.settle()
    assert (world.stopped(), world.started(), world.left) == ("cba", "", m.Leave(SHUTDOWN))
    assert world.answers[ref].code == "shutdown"


def test_a_group_whose_restart_is_one_too_many_is_stopped_and_not_started() -> None:
    """Giving up: the living stop in reverse."""
    world = world_of("abcd", strategy="rest_for_one", restarts=0)
    world.exits("b")
    world.settle()
    assert (world.stopped(), world.started()) == ("dca", "")
    assert world.left is not None
    assert world.left.gave_up


def test_siblings_that_a_group_restarts_count_a_restart_each_for_people() -> None:
    """It is not only the one that died."""
    world = world_of("abc", strategy="rest_for_one")
    world.exits("b")
    world.settle()
    assert [slot.restarts for slot in world.state.slots.values()] == [0, 1, 1]


def test_a_child_killed_after_it_was_asked_to_stop_is_stopped_once() -> None:
    """Its exit is what the group waits for, whatever the reason."""
    world = world_of("abc", strategy="one_for_all")
    world.exits("a")
    world.exits("c", KILLED)
    assert world.stopped() == "cb"


def test_dynamic_children_die_and_come_back_alone() -> None:
    """One template, or a specification each: one for one."""
    world = World(SupervisorSpec(strategy="simple_one_for_one", children=specs_of("t"))).up()
    for _ in range(3):
        world.ask(m.StartFromTemplate())
    world.exits("2")
    world.settle()
    assert (world.started(), world.stopped()) == ("1232", "")
