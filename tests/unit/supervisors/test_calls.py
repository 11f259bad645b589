"""What each call answers, in each state a child can be in: OTP's table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from supervisors import (
    AlreadyPresent,
    AlreadyStarted,
    BadSpec,
    ChildInfo,
    ChildNotFound,
    ChildSpec,
    Counts,
    Exit,
    Restarting,
    Running,
    StartError,
    SupervisorSpec,
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


def starting() -> World:
    """A child "a" whose first start is under way for another caller."""
    world = absent()
    world.call(m.StartChild(spec_of("a")))
    return world


def ignored() -> World:
    """A child "a" that said `ignore`."""
    world = starting()
    world.start_ignores()
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
    (ignored, m.StartChild(spec_of("a")), AlreadyPresent("a")),
    (ignored, m.RestartChild("a"), STARTS),
    (ignored, m.DeleteChild("a"), OK),
    (ignored, m.TerminateChild("a"), OK),
    (running, m.WhichChild("a"), ChildInfo("a", child_of("a", 1), "worker", ("tests.unit.supervisors.world",))),
    (restarting, m.WhichChild("a"), ChildInfo("a", "restarting", "worker", ("tests.unit.supervisors.world",))),
    (between_attempts, m.WhichChild("a"), ChildInfo("a", "restarting", "worker", ("tests.unit.supervisors.world",))),
    (stopped, m.WhichChild("a"), ChildInfo("a", None, "worker", ("tests.unit.supervisors.world",))),
    (absent, m.WhichChild("a"), ChildNotFound("a")),
    (running, m.CountChildren(), Counts(1, 1, 0, 1)),
    (restarting, m.CountChildren(), Counts(1, 0, 0, 1)),
    (between_attempts, m.CountChildren(), Counts(1, 0, 0, 1)),
    (stopped, m.CountChildren(), Counts(1, 0, 0, 1)),
    (absent, m.CountChildren(), Counts(0, 0, 0, 0)),
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


def test_terminating_by_the_child_itself_is_terminating_by_its_id() -> None:
    """start_child answered it; a second time is fine too."""
    world = running()
    assert world.answers[world.call(m.WhichChild(child_of("a", 1)))].id == "a"
    for _ in range(2):
        assert world.ask(m.TerminateChild(child_of("a", 1))) is None
        assert world.state.slots["a"].status == "stopped"


def test_a_child_that_has_been_restarted_is_not_found_by_its_former_life() -> None:
    """Nor is a child of another supervisor; what runs under the id now runs on."""
    world = restarting()
    world.settle()
    for child in (child_of("a", 1), replace(child_of("a", 2), name="elsewhere#1")):
        assert world.ask(m.TerminateChild(child)) == ChildNotFound("a")
        assert world.ask(m.WhichChild(child)) == ChildNotFound("a")
    assert world.living == {"a": 2}


def test_a_start_child_that_is_ignored_answers_nothing_and_keeps_the_specification_unless_it_is_temporary() -> None:
    """OTP's `{ok, undefined}`."""
    for restart, kept in (("permanent", ["a"]), ("transient", ["a"]), ("temporary", [])):
        world = absent()
        ref = world.call(m.StartChild(spec_of("a", restart=restart)))
        world.start_ignores()
        assert (world.answers[ref], list(world.state.slots)) == (None, kept)


def test_a_restart_child_that_is_ignored_answers_nothing_and_keeps_the_specification() -> None:
    """It can be tried again."""
    world = stopped()
    ref = world.call(m.RestartChild("a"))
    world.start_ignores()
    assert (world.answers[ref], world.state.slots["a"].status) == (None, "stopped")


def test_a_call_behind_a_slow_one_sees_what_that_one_did() -> None:
    """The same id twice: the second caller is told that it runs."""
    world = starting()
    second, third = world.call(m.StartChild(spec_of("a"))), world.call(m.DeleteChild("a"))
    world.start_succeeds()
    assert world.answers[second] == AlreadyStarted("a", child_of("a", 1))
    assert world.answers[third] == Running("a")


def test_a_call_behind_a_start_that_fails_may_take_its_id() -> None:
    """Nothing was left of it."""
    world = starting()
    ref = world.call(m.StartChild(spec_of("a")))
    world.start_fails()
    world.settle()
    assert world.answers[ref] == child_of("a", 2)


def test_a_child_that_crashes_while_it_is_being_terminated_stays_terminated() -> None:
    """Its exit answers the call."""
    world = running()
    ref = world.call(m.TerminateChild("a"))
    world.exits("a", Exit("crash", "in terminate"))
    assert (world.answers[ref], world.state.slots["a"].status, world.state.stamps) == (None, "stopped", [])


def test_a_child_whose_restart_fails_while_it_is_being_terminated_stays_terminated() -> None:
    """The failed start answers the call; it is not tried again."""
    world = restarting()
    ref = world.call(m.TerminateChild("a"))
    world.start_fails()
    assert (world.answers[ref], world.open_retries, world.state.slots["a"].status) == (None, [], "stopped")


def test_a_child_whose_restart_is_ignored_while_it_is_being_terminated_stays_terminated() -> None:
    """So does this."""
    world = restarting()
    ref = world.call(m.TerminateChild("a"))
    world.start_ignores()
    assert (world.answers[ref], world.state.slots["a"].status) == (None, "stopped")


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (m.StartChild("a"), "A child is given as a ChildSpec, not as str."),  # type: ignore[arg-type]
        (m.TerminateChild(["a"]), "child=['a'] is not accepted; give its id, or the Child"),  # type: ignore[arg-type]
        (m.UpdateSpecs("a"), "update_specs takes a SupervisorSpec, not str."),  # type: ignore[arg-type]
        (m.StartFromTemplate((1,)), "A supervisor of strategy 'one_for_one' has no template; give start_child a"),
        (m.StartChild(spec_of("b", restart="transient", significant=True)), "Child 'b' is significant, which does not"),
        ("nonsense", "'nonsense' is no request; accepted: the requests of supervisors.messages."),
    ],
)
def test_a_call_that_makes_no_sense_is_answered_with_what_does(request_: Any, sentence: str) -> None:
    """And changes nothing."""
    world = running()
    answer = world.answers[world.call(request_)]
    assert isinstance(answer, BadSpec)
    assert str(answer).startswith(sentence)
    assert (list(world.state.slots), world.state.current) == (["a"], None)


@pytest.mark.parametrize("id_", [3, None, ["a"]])
def test_an_id_that_is_no_text_is_not_found(id_: Any) -> None:
    """Whatever it is."""
    world = running()
    for request in (m.RestartChild(id_), m.DeleteChild(id_)):
        assert world.answers[world.call(request)] == ChildNotFound(id_)
