"""Restarts that fail: tried again at once, with other requests served in between; each attempt counts."""

from __future__ import annotations

import pytest

from supervisors import AlreadyPresent, Exit, Restarting, SupervisorSpec
from supervisors import messages as m
from tests.unit.supervisors.world import BOOM, SHUTDOWN, World, child_of, spec_of, specs_of, world_of


def failed(ids: str, dead: str, **options: str) -> World:
    """A supervisor that stopped what it had to, and whose first start of the restart failed."""
    world = world_of(ids, **options)  # type: ignore[arg-type]
    world.exits(dead)
    while world.open_stops:
        world.stop_ends()
    world.start_fails()
    return world


def test_the_child_is_restarting_and_the_next_attempt_comes_after_what_waits() -> None:
    """The attempt is an effect of its own, so that others are served in between; each takes a stamp."""
    world = failed("a", "a")
    assert world.log[-1] == m.Retry("a", 2)
    assert (world.state.slots["a"].status, world.state.stamps) == ("restarting", [0.0])
    world.now = 1.0
    world.retry_comes()
    assert (world.state.stamps, world.open_starts[0].instance) == ([0.0, 1.0], 3)


def test_the_reason_of_the_failed_start_is_the_last_exit() -> None:
    """For people, and for what counts."""
    assert failed("a", "a").state.slots["a"].last_exit == BOOM


def test_other_calls_are_served_between_two_attempts() -> None:
    """which_children, start_child of another, and those about the child itself."""
    world = failed("ab", "a")
    assert world.answers[world.call(m.WhichChild("a"))].child == "restarting"
    for request, error in (
        (m.StartChild(spec_of("a")), AlreadyPresent("a")),
        (m.RestartChild("a"), Restarting("a")),
        (m.DeleteChild("a"), Restarting("a")),
    ):
        assert world.answers[world.call(request)] == error
    ref = world.call(m.StartChild(spec_of("c")))
    world.start_succeeds()
    assert world.answers[ref] == child_of("c", 4)


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_terminating_the_child_between_two_attempts_ends_the_loop(strategy: str) -> None:
    """The retry that comes round later does nothing; then it can be deleted."""
    world = failed("ab", "a", strategy=strategy)
    assert world.answers[world.call(m.TerminateChild("a"))] is None
    assert world.retry_comes() == []
    assert world.state.slots["a"].status == "stopped"
    assert world.ask(m.DeleteChild("a")) is None


def test_a_stop_between_two_attempts_ends_the_loop() -> None:
    """OTP's hanging restart loop: a shutdown works during it."""
    world = failed("ab", "a")
    world.send(m.Stop(SHUTDOWN))
    world.settle()
    assert (world.stopped(), world.started(), world.left) == ("b", "a", m.Leave(SHUTDOWN))


def test_a_restart_that_keeps_failing_exceeds_the_intensity() -> None:
    """Two are allowed; the third attempt is not made."""
    world = world_of("ab", restarts=2)
    world.exits("a")
    world.start_fails()
    world.retry_comes()
    world.start_fails()
    world.retry_comes()
    world.settle()
    assert (world.started(), world.stopped()) == ("aa", "b")
    assert world.left is not None
    assert (world.left.reason.kind, world.left.gave_up) == ("shutdown", True)


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_group_whose_restart_keeps_failing_exceeds_the_intensity(strategy: str) -> None:
    """What had come up in the last attempt is stopped; nobody is left."""
    world = world_of("abc", strategy=strategy, restarts=2)
    world.exits("a")
    while world.left is None:
        if world.open_starts and world.open_starts[0].id == "b":
            world.start_fails()
        elif world.open_starts:
            world.start_succeeds()
        else:
            world.stop_ends() if world.open_stops else world.retry_comes()
    assert (world.living, world.left.gave_up) == ({}, True)
    assert world.started() == {"one_for_all": "abab", "rest_for_one": "abb"}[strategy]


def test_a_child_that_was_terminated_in_its_loop_is_restarted_alone_and_its_group_with_its_next_death() -> None:
    """Rest for one: those after it wait for that."""
    world = failed("abc", "b", strategy="rest_for_one")
    world.call(m.TerminateChild("b"))
    assert [world.state.slots[id_].status for id_ in "abc"] == ["running", "stopped", "stopped"]
    mark = len(world.log)
    world.ask(m.RestartChild("b"))
    assert (world.started(mark), world.state.slots["c"].status) == ("b", "stopped")
    world.exits("b")
    world.settle()
    assert world.started(mark) == "bbc"


def test_one_for_all_redoes_everything() -> None:
    """What had come up before the failed one is stopped again, in reverse."""
    world = world_of("abcd", strategy="one_for_all")
    world.exits("b")
    for _ in range(3):
        world.stop_ends()
    world.start_succeeds()
    world.start_succeeds()
    world.start_fails()
    mark = len(world.log)
    world.settle()
    assert (world.stopped(mark), world.started(mark)) == ("ba", "abcd")


def test_rest_for_one_resumes_from_the_child_that_failed() -> None:
    """Those that had come up before it stay."""
    world = world_of("abcd", strategy="rest_for_one")
    world.exits("b")
    for _ in range(2):
        world.stop_ends()
    world.start_succeeds()
    world.start_fails()
    mark = len(world.log)
    world.settle()
    assert (world.stopped(mark), world.started(mark)) == ("", "cd")


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_those_after_the_failed_one_are_stopped_until_the_next_attempt(strategy: str) -> None:
    """Not restarting: they can be deleted, and are not started then."""
    world = failed("abc", "a", strategy=strategy)
    assert [world.state.slots[id_].status for id_ in "abc"] == ["restarting", "stopped", "stopped"]
    world.call(m.DeleteChild("b"))
    mark = len(world.log)
    world.settle()
    assert world.started(mark) == "ac"


def test_a_sibling_that_dies_between_two_attempts_restarts_the_group_at_once() -> None:
    """One for all: the failed child comes up with it, and its own retry finds nothing to do."""
    world = world_of("abc", strategy="one_for_all")
    world.exits("c")
    world.stop_ends()
    world.stop_ends()
    world.start_succeeds()
    world.start_fails()
    mark = len(world.log)
    world.exits("a")
    while world.open_starts:
        world.start_succeeds()
    assert world.started(mark) == "abc"
    assert world.retry_comes() == []


def test_a_sibling_that_died_during_the_failed_attempt_is_dealt_with_first() -> None:
    """Its exit waited; the group then starts anew, with the one that failed."""
    world = world_of("abc", strategy="one_for_all", restarts=2)
    world.exits("b")
    world.stop_ends()
    world.stop_ends()
    world.start_succeeds()
    world.exits("a")
    mark = len(world.log)
    world.start_fails()
    world.settle()
    assert (world.started(mark), len(world.state.stamps), world.left) == ("abc", 2, None)


def test_a_restart_that_is_ignored_is_a_success_without_a_process() -> None:
    """Its specification is kept, and its group goes on."""
    world = world_of("ab", strategy="one_for_all")
    world.exits("b")
    world.stop_ends()
    world.start_ignores()
    world.settle()
    assert [world.state.slots[id_].status for id_ in "ab"] == ["stopped", "running"]
    assert len(world.state.stamps) == 1


def test_a_child_on_demand_whose_restart_is_ignored_is_dropped() -> None:
    """There is nothing to start it by again."""
    world = World(SupervisorSpec(strategy="dynamic")).up()
    world.ask(m.StartChild(spec_of("a")))
    world.exits("1")
    assert world.start_ignores() == []
    assert world.state.slots == {}


def test_children_on_demand_are_tried_again_each_for_itself() -> None:
    """The loop of one does not hold up another."""
    world = World(SupervisorSpec(strategy="simple_one_for_one", children=specs_of("t"), max_restarts=9)).up()
    world.ask(m.StartFromTemplate())
    world.ask(m.StartFromTemplate())
    world.exits("1")
    world.exits("2")
    world.start_fails(1)
    rows = world.answers[world.call(m.WhichChildren())]
    assert [row.child for row in rows] == ["restarting", "restarting"]
    world.start_succeeds()
    rows = world.answers[world.call(m.WhichChildren())]
    assert [row.child for row in rows] == ["restarting", child_of("1", 3)]
    world.settle()
    assert sorted(world.living) == ["1", "2"]


def test_a_retry_that_comes_while_a_call_is_served_waits_for_it_where_fates_are_shared() -> None:
    """One thing at a time; the call may even end the loop."""
    world = failed("ab", "a", strategy="rest_for_one")
    world.call(m.StartChild(spec_of("c")))
    assert world.retry_comes() == []
    mark = len(world.log)
    world.start_succeeds()
    world.settle()
    assert (world.stopped(mark), world.started(mark)) == ("c", "abc")


def test_a_retry_of_an_earlier_life_of_the_child_is_stale() -> None:
    """Only the instance that failed is tried again."""
    world = failed("a", "a")
    world.call(m.TerminateChild("a"))
    world.ask(m.RestartChild("a"))
    assert world.send(m.TryAgain("a", 2)) == []


def test_a_restart_under_way_that_fails_while_the_supervisor_stops_is_not_tried_again() -> None:
    """There is nothing to come back to, and the stop of the others goes on."""
    world = world_of("ab")
    world.exits("a")
    world.send(m.Stop(SHUTDOWN))
    assert world.start_fails() == []
    assert world.exits("b", Exit("shutdown")) == [m.Leave(SHUTDOWN)]
