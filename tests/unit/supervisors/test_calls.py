"""What each call answers, in each state a child can be in: OTP's table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from supervisors import (
    AlreadyPresent,
    AlreadyStarted,
    ChildInfo,
    ChildNotFound,
    ChildSpec,
    Counts,
    Exit,
    Restarting,
    Running,
    StartError,
    SupervisorSpec,
    SupervisorStopping,
)
from supervisors import messages as m
from tests.unit.supervisors.world import World, child_of, spec_of

BOOM = Exit("init_failed", "boom")


def running() -> World:
    """A child "a" that runs."""
    return World(SupervisorSpec(max_restarts=2, children=(spec_of("a"),))).up()


def restarting() -> World:
    """A child "a" whose restart is under way."""
    world = running()
    world.exits("a")
    return world


def between_attempts() -> World:
    """A child "a" whose restart failed and will be tried again."""
    world = restarting()
    world.start_fails()
    return world


def stopped() -> World:
    """A child "a" that was terminated."""
    world = running()
    world.call(m.TerminateChild("a"))
    world.exits("a", Exit("shutdown"))
    return world


def absent() -> World:
    """No child."""
    return World(SupervisorSpec()).up()


OK = None
STARTS, STOPS = object(), object()
TABLE: list[tuple[Callable[[], World], m.Request, Any]] = [
    (running, m.StartChild(spec_of("a")), AlreadyStarted("a", child_of("a", 1))),
    (restarting, m.StartChild(spec_of("a")), AlreadyPresent("a")),
    (between_attempts, m.StartChild(spec_of("a")), AlreadyPresent("a")),
    (stopped, m.StartChild(spec_of("a")), AlreadyPresent("a")),
    (absent, m.StartChild(spec_of("a")), STARTS),
    (running, m.RestartChild("a"), Running("a")),
    (restarting, m.RestartChild("a"), Restarting("a")),
    (between_attempts, m.RestartChild("a"), Restarting("a")),
    (stopped, m.RestartChild("a"), STARTS),
    (absent, m.RestartChild("a"), ChildNotFound("a")),
    (running, m.DeleteChild("a"), Running("a")),
    (restarting, m.DeleteChild("a"), Restarting("a")),
    (between_attempts, m.DeleteChild("a"), Restarting("a")),
    (stopped, m.DeleteChild("a"), OK),
    (absent, m.DeleteChild("a"), ChildNotFound("a")),
    (running, m.TerminateChild("a"), STOPS),
    (restarting, m.TerminateChild("a"), STOPS),
    (between_attempts, m.TerminateChild("a"), OK),
    (stopped, m.TerminateChild("a"), OK),
    (absent, m.TerminateChild("a"), ChildNotFound("a")),
]


@pytest.mark.parametrize(
    ("world", "request_", "expected"), TABLE, ids=[f"{type(r).__name__}-{w.__name__}" for w, r, _ in TABLE]
)
def test_each_call_answers_as_otps_table_says(world: Callable[[], World], request_: m.Request, expected: Any) -> None:
    """A start answers the child when it runs, a stop answers when the child is gone, all else at once."""
    now = world()
    ref = now.call(request_)
    assert (ref in now.answers) == (expected not in (STARTS, STOPS))
    now.settle()
    assert now.answers[ref] == (
        now.state.slots["a"].child if expected is STARTS else None if expected is STOPS else expected
    )


def test_a_start_child_that_fails_answers_the_reason_and_leaves_nothing() -> None:
    """Its specification is not kept."""
    world = absent()
    ref = world.call(m.StartChild(spec_of("a")))
    world.start_fails()
    assert world.answers[ref] == StartError("a", BOOM)
    assert world.state.slots == {}


def test_a_restart_child_that_fails_answers_the_reason_and_keeps_the_specification() -> None:
    """It can be tried again."""
    world = stopped()
    ref = world.call(m.RestartChild("a"))
    world.start_fails()
    assert world.answers[ref] == StartError("a", BOOM)
    assert world.state.slots["a"].status == "stopped"


def test_terminating_a_temporary_child_removes_its_specification() -> None:
    """Nothing is kept of it."""
    world = World(SupervisorSpec(children=(spec_of("a", restart="temporary"),))).up()
    world.call(m.TerminateChild("a"))
    world.settle()
    assert world.state.slots == {}


def test_a_terminated_child_is_not_restarted_and_counts_nothing() -> None:
    """Its exit is ours."""
    assert (stopped().state.stamps, len(stopped().seen(m.Start))) == ([], 1)


def test_terminating_a_child_that_is_starting_again_stops_that_start() -> None:
    """The start that is under way is stopped, and a late success of it changes nothing."""
    world = restarting()
    ref = world.call(m.TerminateChild("a"))
    assert world.seen(m.StopChild) == [m.StopChild("a", 2, 5.0)]
    world.start_succeeds()
    assert ref not in world.answers
    world.exits("a")
    assert (world.answers[ref], world.state.slots["a"].status) == (None, "stopped")


def test_terminating_between_two_attempts_ends_the_attempts() -> None:
    """The retry that comes round later does nothing."""
    world = between_attempts()
    world.call(m.TerminateChild("a"))
    assert world.send(m.TryAgain("a", 2)) == []


def test_which_children_lists_the_newest_first_with_what_each_is_doing() -> None:
    """Child, `restarting`, or none."""
    world = World(SupervisorSpec(max_restarts=2, children=tuple(map(spec_of, "abc")))).up()
    world.exits("b")
    world.call(m.TerminateChild("a"))
    world.exits("a")
    answer = world.answers[world.call(m.WhichChildren())]
    assert [(row.id, row.child) for row in answer] == [("c", child_of("c", 3)), ("b", "restarting"), ("a", None)]
    assert answer[0] == ChildInfo("c", child_of("c", 3), "worker", ("tests.unit.supervisors.world",))


def test_count_children_counts_those_that_restart_as_not_active() -> None:
    """Specifications, active, supervisors, workers."""
    nested = ChildSpec("sup", start=SupervisorSpec())
    world = World(SupervisorSpec(max_restarts=2, children=(spec_of("a"), spec_of("b"), nested))).up()
    world.exits("a")
    assert world.answers[world.call(m.CountChildren())] == Counts(specs=3, active=2, supervisors=1, workers=2)


def test_calls_are_served_one_after_the_other_but_reads_at_once() -> None:
    """A slow start delays the next call, and no read."""
    world = absent()
    first, second = world.call(m.StartChild(spec_of("a"))), world.call(m.StartChild(spec_of("b")))
    assert [start.id for start in world.open_starts] == ["a"]
    assert [row.id for row in world.answers[world.call(m.WhichChildren())]] == ["a"]
    world.start_succeeds()
    assert (first in world.answers, [start.id for start in world.open_starts]) == (True, ["b"])
    world.start_succeeds()
    assert world.answers[second] == child_of("b", 2)


def test_a_crash_is_dealt_with_while_a_call_is_served() -> None:
    """A slow start does not hold up another child's restart."""
    world = running()
    world.call(m.StartChild(spec_of("b")))
    world.exits("a")
    assert [start.id for start in world.open_starts] == ["b", "a"]


def test_a_restart_that_fails_is_tried_again_after_the_calls_that_wait() -> None:
    """The attempt is an effect of its own, so that others are served in between; each takes a stamp."""
    world = between_attempts()
    assert world.log[-1] == m.Retry("a", 2)
    assert world.state.stamps == [0.0]
    world.send(m.TryAgain("a", 2))
    assert (world.state.stamps, world.open_starts[0].instance) == ([0.0, 0.0], 3)


def test_failing_restarts_alone_exceed_the_intensity() -> None:
    """Two are allowed; the third attempt is not made."""
    world = between_attempts()
    world.send(m.TryAgain("a", 2))
    world.start_fails()
    world.send(m.TryAgain("a", 3))
    assert isinstance(world.log[-1], m.Leave)
    assert (world.log[-1].reason.kind, world.log[-1].gave_up) == ("shutdown", True)


def test_giving_up_stops_the_other_children_in_reverse_and_leaves_with_shutdown() -> None:
    """The dead child needs no stop."""
    world = World(SupervisorSpec(max_restarts=0, children=tuple(map(spec_of, "abcd")))).up()
    world.exits("b")
    world.settle()
    assert [stop.id for stop in world.seen(m.StopChild)] == ["d", "c", "a"]
    assert isinstance(world.log[-1], m.Leave)
    assert "child 'b' ended (killed) once too often" in str(world.log[-1].reason)


def test_who_waits_or_comes_when_the_supervisor_stops_is_told_so() -> None:
    """The call being served, those behind it and those after it."""
    world = running()
    refs = [world.call(m.StartChild(spec_of("b"))), world.call(m.StartChild(spec_of("c")))]
    world.send(m.Stop(Exit("shutdown")))
    refs += [world.call(m.WhichChildren()), world.call(m.TerminateChild("a"))]
    assert [world.answers[ref] for ref in refs] == [SupervisorStopping()] * 4


def test_a_child_that_dies_during_init_is_restarted_when_init_is_over() -> None:
    """As in OTP, where its exit waits in the mailbox; so do calls."""
    world = World(SupervisorSpec(children=(spec_of("a"), spec_of("b"))))
    world.send(m.Init())
    world.start_succeeds()
    ref = world.call(m.TerminateChild("b"))
    assert world.exits("a") == []
    effects = world.start_succeeds()
    assert [type(effect) for effect in effects] == [m.Ready, m.Start, m.StopChild]
    world.settle()
    assert world.answers[ref] is None


def test_news_of_an_earlier_instance_is_ignored() -> None:
    """Only the instance that the slot holds counts."""
    world = restarting()
    world.start_succeeds()
    assert world.send(m.Exited("a", 1, Exit("killed"))) == []
    assert world.send(m.StartFailed("a", 1, BOOM)) == []
    assert world.state.slots["a"].status == "running"


def test_a_child_that_is_being_stopped_is_not_stopped_twice() -> None:
    """The supervisor's own stop waits for the one under way."""
    world = running()
    world.call(m.TerminateChild("a"))
    world.send(m.Stop(Exit("shutdown")))
    assert len(world.seen(m.StopChild)) == 1
    world.exits("a", Exit("shutdown"))
    assert isinstance(world.log[-1], m.Leave)


def test_a_restart_that_fails_while_the_supervisor_stops_is_not_tried_again() -> None:
    """There is nothing to come back to, and the stop of the others goes on."""
    world = World(SupervisorSpec(children=(spec_of("a"), spec_of("b")))).up()
    world.exits("a")
    world.send(m.Stop(Exit("shutdown")))
    assert world.start_fails() == []
    world.exits("b", Exit("shutdown"))
    assert isinstance(world.log[-1], m.Leave)
