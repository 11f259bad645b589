"""Significant children: their own end may end their supervisor."""

from __future__ import annotations

import pytest

from supervisors import Exit, SupervisorSpec
from supervisors import messages as m
from supervisors.exits import EXIT_KINDS
from supervisors.spec import AUTO_SHUTDOWNS, RESTARTS, AutoShutdown, RestartType, Strategy
from tests.unit.supervisors.world import KILLED, NORMAL, SHUTDOWN, World, spec_of

ANY, ALL = "any_significant", "all_significant"


def world_with(auto_shutdown: str, *, significant: str, others: str = "", restart: RestartType = "transient") -> World:
    """Significant children and others, all running."""
    children = [spec_of(id_, restart=restart, significant=True) for id_ in significant]
    children += [spec_of(id_) for id_ in others]
    spec = SupervisorSpec(max_restarts=9, children=tuple(children), auto_shutdown=auto_shutdown)  # type: ignore[arg-type]
    world = World(spec).up()
    world.log.clear()
    return world


def test_never_is_the_default() -> None:
    """A supervisor outlives its children."""
    world = World(SupervisorSpec(children=(spec_of("a", restart="transient"),))).up()
    assert world.exits("a", NORMAL) == []


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Exit("shutdown", "done")])
def test_any_significant_the_first_that_ends_by_itself_ends_the_supervisor(reason: Exit) -> None:
    """The others are stopped in reverse; the supervisor leaves with shutdown, and has not given up."""
    world = world_with(ANY, significant="ab", others="cd")
    world.exits("a", reason)
    world.settle()
    assert (world.stopped(), world.left) == ("dcb", m.Leave(SHUTDOWN))


def test_all_significant_only_the_last_one_does() -> None:
    """As long as another significant child runs, nothing happens."""
    world = world_with(ALL, significant="ab", others="c")
    assert world.exits("a", NORMAL) == []
    world.exits("b", NORMAL)
    world.settle()
    assert (world.stopped(), world.left) == ("c", m.Leave(SHUTDOWN))


def test_all_significant_one_that_is_restarting_counts_as_alive() -> None:
    """It will be back."""
    world = world_with(ALL, significant="ab")
    world.exits("a", KILLED)
    world.start_fails()
    assert world.state.slots["a"].status == "restarting"
    assert world.exits("b", NORMAL) == []


def test_all_significant_one_that_was_terminated_counts_as_ended() -> None:
    """But its termination alone does not end the supervisor."""
    world = world_with(ALL, significant="ab")
    world.ask(m.TerminateChild("a"))
    assert world.left is None
    assert world.exits("b", NORMAL) == [m.Leave(SHUTDOWN)]


@pytest.mark.parametrize("auto_shutdown", [ANY, ALL])
@pytest.mark.parametrize("reason", [NORMAL, KILLED])
def test_a_temporary_one_ends_it_with_any_reason(auto_shutdown: str, reason: Exit) -> None:
    """It is never restarted."""
    world = world_with(auto_shutdown, significant="a", restart="temporary")
    assert world.exits("a", reason) == [m.Leave(SHUTDOWN)]


def test_a_transient_one_that_crashes_is_restarted() -> None:
    """Its end was not its own wish."""
    world = world_with(ANY, significant="a")
    world.exits("a", KILLED)
    world.settle()
    assert (world.started(), world.left) == ("a", None)


@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_terminate_child_never_ends_the_supervisor(restart: RestartType) -> None:
    """It is not the child's own termination."""
    world = world_with(ANY, significant="a", restart=restart)
    world.ask(m.TerminateChild("a"))
    assert world.left is None


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
@pytest.mark.parametrize("auto_shutdown", [ANY, ALL])
@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_a_sibling_s_restart_never_ends_the_supervisor(
    strategy: Strategy, auto_shutdown: AutoShutdown, restart: RestartType
) -> None:
    """Significant children that are stopped with their group, and temporary ones that are dropped with it."""
    children = (spec_of("a"), spec_of("b", restart=restart, significant=True))
    world = World(SupervisorSpec(strategy=strategy, children=children, auto_shutdown=auto_shutdown)).up()
    world.exits("a")
    world.settle()
    assert world.left is None


def test_a_significant_child_that_ends_well_while_its_group_is_restarted_does_not_end_the_supervisor() -> None:
    """It was about to be stopped anyway."""
    children = (spec_of("a"), spec_of("b", restart="transient", significant=True), spec_of("c"))
    world = World(SupervisorSpec(strategy="one_for_all", children=children, auto_shutdown="any_significant")).up()
    world.exits("a")
    world.exits("b", NORMAL)
    world.settle()
    assert (world.left, sorted(world.living)) == (None, ["a", "b", "c"])


def test_a_restart_that_is_ignored_does_not_end_the_supervisor() -> None:
    """In OTP that is a success."""
    world = world_with(ANY, significant="a")
    world.exits("a", KILLED)
    assert world.start_ignores() == []


def test_a_child_that_is_not_significant_may_end() -> None:
    """Nobody depends on it."""
    children = (spec_of("a", restart="temporary"), spec_of("b", restart="transient", significant=True))
    world = World(SupervisorSpec(children=children, auto_shutdown="all_significant")).up()
    assert world.exits("a", NORMAL) == []


@pytest.mark.parametrize("auto_shutdown", AUTO_SHUTDOWNS)
@pytest.mark.parametrize("restart", RESTARTS)
def test_the_end_of_an_insignificant_child_never_ends_the_supervisor(
    auto_shutdown: AutoShutdown, restart: RestartType
) -> None:
    """By itself in any way, or terminated; alone there."""
    for kind in (*EXIT_KINDS, None):
        child = spec_of("a", restart=restart)
        world = World(SupervisorSpec(children=(child,), auto_shutdown=auto_shutdown)).up()
        world.exits("a", Exit(kind)) if kind else world.ask(m.TerminateChild("a"))
        world.settle()
        assert world.left is None


def test_who_waits_is_told_when_a_significant_child_ends() -> None:
    """The call being served."""
    world = world_with(ANY, significant="a")
    ref = world.call(m.StartChild(spec_of("b")))
    world.exits("a", NORMAL)
    assert world.answers[ref].code == "shutdown"


def test_a_significant_child_that_start_child_brought_counts_as_well() -> None:
    """If the supervisor has auto_shutdown at all."""
    world = world_with(ANY, significant="", others="a")
    world.ask(m.StartChild(spec_of("b", restart="temporary", significant=True)))
    world.exits("b")
    world.settle()
    assert world.left == m.Leave(SHUTDOWN)
