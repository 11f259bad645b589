"""The supervisor's own stop: children in reverse, one after the other, and nobody left."""

from __future__ import annotations

import pytest

from supervisors import ChildSpec, Exit, SupervisorSpec, SupervisorStopping
from supervisors import messages as m
from supervisors.exits import EXIT_KINDS, ExitKind
from supervisors.spec import RESTARTS, RestartType
from tests.unit.supervisors.world import SHUTDOWN, World, spec_of, world_of

STATIC = pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])


@STATIC
def test_children_are_stopped_in_reverse_each_when_the_one_before_is_gone(strategy: str) -> None:
    """Then the supervisor leaves with the reason that it was given."""
    world = world_of("abc", strategy=strategy)
    world.send(m.Stop(Exit("shutdown", "enough")))
    for so_far in ("c", "cb", "cba"):
        assert (world.stopped(), world.left) == (so_far, None)
        world.stop_ends()
    assert world.left == m.Leave(Exit("shutdown", "enough"))


def test_each_child_is_stopped_as_its_specification_says() -> None:
    """Brutally, with a time, or with all the time in the world."""
    children = (
        spec_of("a", shutdown="brutal_kill"),
        spec_of("b", shutdown=2.5),
        spec_of("c"),
        spec_of("d", shutdown="infinity"),
        ChildSpec("e", start=SupervisorSpec()),
    )
    world = World(SupervisorSpec(children=children)).up()
    world.send(m.Stop(SHUTDOWN))
    world.settle()
    assert [stop.shutdown for stop in world.seen(m.StopChild)] == ["infinity", "infinity", 5.0, 2.5, "brutal_kill"]


def test_a_supervisor_without_children_leaves_at_once() -> None:
    """Nothing to stop."""
    assert World(SupervisorSpec()).up().send(m.Stop(SHUTDOWN)) == [m.Leave(SHUTDOWN)]


def test_a_second_stop_changes_nothing() -> None:
    """Neither the reason nor the order; nor does one that comes when all is over."""
    world = world_of("a")
    world.send(m.Stop(SHUTDOWN))
    assert world.send(m.Stop(Exit("killed"))) == []
    world.settle()
    assert world.left == m.Leave(SHUTDOWN)
    assert world.send(m.Stop(SHUTDOWN)) == []


@STATIC
def test_who_waits_or_comes_when_the_supervisor_stops_is_told_so(strategy: str) -> None:
    """The call being served, those behind it and those after it; reads too."""
    world = world_of("a", strategy=strategy)
    refs = [world.call(m.StartChild(spec_of("b"))), world.call(m.StartChild(spec_of("c")))]
    world.send(m.Stop(SHUTDOWN))
    refs += [world.call(m.WhichChildren()), world.call(m.TerminateChild("a"))]
    world.settle()
    refs += [world.call(m.CountChildren())]
    assert [world.answers[ref] for ref in refs] == [SupervisorStopping()] * 5


def test_a_child_that_a_call_was_starting_is_stopped_first() -> None:
    """It is the last in order."""
    world = world_of("a")
    world.call(m.StartChild(spec_of("b")))
    world.send(m.Stop(SHUTDOWN))
    world.settle()
    assert (world.stopped(), world.living) == ("ba", {})


def test_a_child_that_is_being_stopped_is_not_stopped_twice() -> None:
    """The supervisor's own stop waits for the one under way."""
    world = world_of("a")
    world.call(m.TerminateChild("a"))
    world.send(m.Stop(SHUTDOWN))
    assert world.stopped() == "a"
    assert world.stop_ends() == [m.Leave(SHUTDOWN)]


def test_a_child_that_is_being_terminated_elsewhere_in_the_order_is_waited_for() -> None:
    """The others go on in reverse; nobody is left behind."""
    world = world_of("abc")
    world.call(m.TerminateChild("b"))
    world.send(m.Stop(SHUTDOWN))
    world.stop_ends(1)
    assert (world.stopped(), world.left) == ("bc", None)
    world.stop_ends()
    world.settle()
    assert (world.stopped(), world.left) == ("bca", m.Leave(SHUTDOWN))


def test_children_that_do_not_run_need_no_stop() -> None:
    """Terminated ones, and one between two attempts to restart it."""
    world = world_of("abc", stopped="b")
    world.exits("c")
    world.start_fails()
    world.send(m.Stop(SHUTDOWN))
    world.settle()
    assert (world.stopped(), world.left) == ("a", m.Leave(SHUTDOWN))


def test_an_exit_during_the_stop_restarts_nobody_and_ends_the_stop_when_it_was_the_last() -> None:
    """Whatever its reason."""
    world = world_of("ab")
    world.send(m.Stop(SHUTDOWN))
    world.exits("a", Exit("crash"))
    assert world.exits("b", Exit("crash")) == [m.Leave(SHUTDOWN)]


@pytest.mark.parametrize("restart", RESTARTS)
@pytest.mark.parametrize("kind", EXIT_KINDS)
def test_children_that_end_by_themselves_during_the_stop_are_not_asked(restart: RestartType, kind: ExitKind) -> None:
    """Whatever they are and say; the rest stops in reverse."""
    world = World(SupervisorSpec(children=(spec_of("a"), spec_of("b", restart=restart), spec_of("c")))).up()
    world.log.clear()
    world.send(m.Stop(SHUTDOWN))
    assert world.exits("b", Exit(kind)) == []
    world.settle()
    assert (world.stopped(), world.started(), world.left) == ("ca", "", m.Leave(SHUTDOWN))


@pytest.mark.parametrize("restart", RESTARTS)
@pytest.mark.parametrize("kind", EXIT_KINDS)
def test_children_on_demand_may_end_with_any_reason_when_they_are_asked(restart: RestartType, kind: ExitKind) -> None:
    """Nobody comes back, and the supervisor leaves with its own reason."""
    world = World(SupervisorSpec(strategy="dynamic")).up()
    for _ in range(2):
        world.ask(m.StartChild(spec_of("a", restart=restart)))
    world.send(m.Stop(SHUTDOWN))
    assert world.exits("1", Exit(kind)) == []
    assert world.exits("2", Exit(kind)) == [m.Leave(SHUTDOWN)]


def test_children_on_demand_are_each_stopped_as_their_specification_says() -> None:
    """All at once."""
    world = World(SupervisorSpec(strategy="dynamic")).up()
    for shutdown in ("brutal_kill", 2.5, "infinity", None):
        world.ask(m.StartChild(spec_of("a", shutdown=shutdown)))
    world.send(m.Stop(SHUTDOWN))
    assert [stop.shutdown for stop in world.open_stops] == ["brutal_kill", 2.5, "infinity", 5.0]


def test_news_of_an_earlier_instance_is_ignored() -> None:
    """Only the instance that the slot holds counts, in any event."""
    world = world_of("a")
    world.exits("a")
    world.start_succeeds()
    events: list[m.Event] = [
        m.Exited("a", 1, Exit("killed")),
        m.StartFailed("a", 1, Exit("init_failed")),
        m.Ignored("a", 1),
        m.TryAgain("a", 1),
        m.Exited("nobody", 1, Exit("killed")),
    ]
    assert [world.send(event) for event in events] == [[]] * 5
    assert world.state.slots["a"].status == "running"


def test_nothing_that_happens_when_it_is_over_does_anything() -> None:
    """Retries, late reports."""
    world = world_of("ab")
    world.exits("a")
    world.start_fails()
    world.send(m.Stop(SHUTDOWN))
    world.settle()
    mark = len(world.log)
    world.send(m.TryAgain("a", 3))
    world.send(m.Exited("b", 2, Exit("killed")))
    assert world.log[mark:] == []
