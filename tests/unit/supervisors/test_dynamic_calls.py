"""What each call answers where children are started on demand: from a template, or each with its own specification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from supervisors import (
    BadSpec,
    ChildInfo,
    ChildNotFound,
    ChildSpec,
    Counts,
    MaxChildren,
    NotForDynamic,
    StartError,
    SupervisorSpec,
)
from supervisors import messages as m
from supervisors.spec import RESTARTS
from tests.unit.supervisors.world import BOOM, NORMAL, SHUTDOWN, World, child_of, spec_of

MODULES = ("tests.unit.supervisors.world",)


def simple(**options: Any) -> World:
    """A simple_one_for_one supervisor whose template has one argument."""
    template = spec_of("t", args=("first",), **options)
    return World(SupervisorSpec(strategy="simple_one_for_one", max_restarts=9, children=(template,))).up()


def dynamic(**options: Any) -> World:
    """A supervisor whose children bring their specifications."""
    return World(SupervisorSpec(strategy="dynamic", max_restarts=9, **options)).up()


def started(world: World, count: int = 1) -> World:
    """With so many children."""
    for _ in range(count):
        template = world.spec.strategy == "simple_one_for_one"
        world.ask(m.StartFromTemplate() if template else m.StartChild(spec_of("a")))
    world.log.clear()
    return world


BOTH = pytest.mark.parametrize("make", [simple, dynamic])


def test_start_child_appends_its_arguments_to_the_template_s() -> None:
    """And answers the child."""
    world = simple()
    assert world.ask(m.StartFromTemplate(("second", 3))) == child_of("1", 1)
    assert world.seen(m.Start)[0].spec.args == ("first", "second", 3)


def test_one_specification_may_be_started_any_number_of_times() -> None:
    """Ids need not differ."""
    world = dynamic()
    assert world.ask(m.StartChild(spec_of("a"))) == child_of("1", 1)
    assert world.ask(m.StartChild(spec_of("a"))) == child_of("2", 2)


@BOTH
def test_a_start_child_that_fails_answers_the_reason_and_leaves_nothing(make: Callable[[], World]) -> None:
    """As anywhere."""
    world = make()
    ref = world.call(m.StartFromTemplate() if make is simple else m.StartChild(spec_of("t")))
    world.start_fails()
    assert (world.answers[ref], world.state.slots) == (StartError("t", BOOM), {})


@pytest.mark.parametrize("restart", RESTARTS)
def test_a_start_child_that_is_ignored_answers_nothing_and_keeps_nothing(restart: str) -> None:
    """Whatever its restart type; the supervisor goes on, and stops without trouble."""
    world = simple(restart=restart)
    ref = world.call(m.StartFromTemplate())
    world.start_ignores()
    assert (world.answers[ref], world.state.slots) == (None, {})
    assert world.send(m.Stop(SHUTDOWN)) == [m.Leave(SHUTDOWN)]


@BOTH
def test_terminate_child_takes_the_child_and_removes_it(make: Callable[[], World]) -> None:
    """A second time it is not found."""
    world = started(make(), 2)
    assert world.ask(m.TerminateChild(child_of("1", 1))) is None
    assert list(world.state.slots) == ["2"]
    assert world.ask(m.TerminateChild(child_of("1", 1))) == ChildNotFound("1")


@BOTH
@pytest.mark.parametrize("request_", [m.TerminateChild("1"), m.RestartChild("1"), m.DeleteChild("1")])
def test_calls_by_id_are_not_for_dynamic_supervisors(make: Callable[[], World], request_: m.Request) -> None:
    """They know no ids; the error says what to do instead."""
    world = started(make())
    assert world.ask(request_) == NotForDynamic(world.spec.strategy)


@BOTH
def test_which_child_takes_the_child_itself(make: Callable[[], World]) -> None:
    """Also while it is restarting, and no longer when it has been."""
    world = started(make())
    assert world.ask(m.WhichChild(child_of("1", 1))) == ChildInfo(None, child_of("1", 1), "worker", MODULES)
    world.exits("1")
    assert world.answers[world.call(m.WhichChild(child_of("1", 1)))].child == "restarting"
    world.settle()
    assert world.ask(m.WhichChild(child_of("1", 1))) == ChildNotFound("1")
    assert world.ask(m.WhichChild("1")) == NotForDynamic(world.spec.strategy)


@BOTH
def test_which_children_lists_the_newest_first_without_ids(make: Callable[[], World]) -> None:
    """Child or restarting."""
    world = started(make(), 3)
    world.exits("2")
    rows = world.answers[world.call(m.WhichChildren())]
    assert [row.child for row in rows] == [child_of("3", 3), "restarting", child_of("1", 1)]
    assert rows[0] == ChildInfo(None, child_of("3", 3), "worker", MODULES)


def test_count_children_counts_one_specification_for_a_template_and_one_for_each_child_without() -> None:
    """Those that restart are not active."""
    for world, specs in ((started(simple(), 3), 1), (started(dynamic(), 3), 3)):
        world.exits("2")
        assert world.answers[world.call(m.CountChildren())] == Counts(specs, active=2, supervisors=0, workers=3)


def test_count_children_of_no_children_still_counts_the_template() -> None:
    """As OTP does."""
    assert simple().ask(m.CountChildren()) == Counts(1, 0, 0, 0)
    assert dynamic().ask(m.CountChildren()) == Counts(0, 0, 0, 0)


def test_children_that_are_supervisors_are_counted_as_such() -> None:
    """A specification each, so both may be there."""
    world = dynamic()
    world.ask(m.StartChild(ChildSpec("s", start=SupervisorSpec())))
    world.ask(m.StartChild(spec_of("w")))
    assert world.ask(m.CountChildren()) == Counts(2, 2, supervisors=1, workers=1)
    world = World(
        SupervisorSpec(strategy="simple_one_for_one", children=(ChildSpec("s", start=SupervisorSpec()),))
    ).up()
    for _ in range(3):
        world.ask(m.StartFromTemplate())
    assert world.ask(m.CountChildren()) == Counts(1, 3, supervisors=3, workers=0)


@pytest.mark.parametrize("most", [0, 1, 2])
def test_there_are_never_more_children_than_max_children(most: int) -> None:
    """The next one is refused, also with 0."""
    world = started(dynamic(max_children=most), most)
    assert world.ask(m.StartChild(spec_of("a"))) == MaxChildren(most)


@BOTH
def test_a_child_whose_restart_failed_once_is_there_again(make: Callable[[], World]) -> None:
    """Two attempts, two restarts of those allowed."""
    world = started(make())
    world.exits("1")
    world.start_fails()
    world.retry_comes()
    world.start_succeeds()
    assert (world.living, len(world.state.stamps), world.left) == ({"1": 3}, 2, None)


def test_children_that_restart_count_for_max_children() -> None:
    """They will be back."""
    world = started(dynamic(max_children=1))
    world.exits("1")
    ref = world.call(m.StartChild(spec_of("a")))
    assert world.answers[ref] == MaxChildren(1)
    world.start_fails()
    assert world.answers[world.call(m.StartChild(spec_of("a")))] == MaxChildren(1)


def test_a_child_that_has_ended_makes_room() -> None:
    """Terminated, ended well, or never started."""
    world = started(dynamic(max_children=1))
    world.ask(m.TerminateChild(child_of("1", 1)))
    world.ask(m.StartChild(spec_of("a", restart="transient")))
    world.exits("2", NORMAL)
    world.call(m.StartChild(spec_of("a")))
    world.start_fails()
    assert world.ask(m.StartChild(spec_of("a"))) == child_of("4", 4)


@BOTH
def test_terminating_a_child_between_two_attempts_removes_it(make: Callable[[], World]) -> None:
    """It is named by the child that it was; the retry finds nothing."""
    world = started(make())
    world.exits("1")
    world.start_fails()
    assert world.answers[world.call(m.TerminateChild(child_of("1", 1)))] is None
    assert (world.state.slots, world.retry_comes()) == ({}, [])


@BOTH
def test_terminating_a_child_whose_restart_is_under_way_stops_that_start(make: Callable[[], World]) -> None:
    """And removes it."""
    world = started(make())
    world.exits("1")
    assert world.ask(m.TerminateChild(child_of("1", 1))) is None
    assert (world.stopped(), world.state.slots, world.living) == ("1", {}, {})


@BOTH
def test_a_child_that_has_been_restarted_is_not_found_by_its_former_life(make: Callable[[], World]) -> None:
    """As a dead pid: who holds it does not mean the new one."""
    world = started(make())
    world.exits("1")
    world.settle()
    assert world.ask(m.TerminateChild(child_of("1", 1))) == ChildNotFound("1")
    assert world.ask(m.TerminateChild(child_of("1", 2))) is None


@BOTH
def test_a_child_of_another_supervisor_is_not_found(make: Callable[[], World]) -> None:
    """Whatever the one that has its key here is doing."""
    world = started(make())
    stranger = replace(child_of("1", 1), name="elsewhere#1")
    for step in (lambda: None, lambda: world.exits("1"), lambda: world.start_fails(), lambda: world.settle()):
        step()
        assert world.answers[world.call(m.TerminateChild(stranger))] == ChildNotFound("1")
        assert world.answers[world.call(m.WhichChild(stranger))] == ChildNotFound("1")


def test_a_significant_child_is_refused() -> None:
    """There is no auto_shutdown here."""
    child = spec_of("a", restart="transient", significant=True)
    assert isinstance(dynamic().ask(m.StartChild(child)), BadSpec)


def test_a_specification_is_refused_where_there_is_a_template_and_the_other_way() -> None:
    """The error says what to give."""
    for world, request in ((simple(), m.StartChild(spec_of("a"))), (dynamic(), m.StartFromTemplate())):
        assert isinstance(world.ask(request), BadSpec)


def test_further_arguments_that_are_no_list_are_refused() -> None:
    """By name, with what is accepted."""
    answer = simple().ask(m.StartFromTemplate("ab"))  # type: ignore[arg-type]
    assert str(answer) == "args='ab' is not accepted; give a tuple or a list."


def test_a_template_of_a_nested_supervisor_takes_no_further_arguments() -> None:
    """Its SupervisorSpec says everything; the caller is told."""
    template = ChildSpec("s", start=SupervisorSpec())
    world = World(SupervisorSpec(strategy="simple_one_for_one", children=(template,))).up()
    assert isinstance(world.ask(m.StartFromTemplate((1,))), BadSpec)
    assert world.ask(m.StartFromTemplate()) == child_of("1", 1)


@BOTH
def test_a_stop_asks_all_children_at_once_and_leaves_when_the_last_is_gone(make: Callable[[], World]) -> None:
    """In parallel; those being terminated or started are not asked twice or forgotten."""
    world = started(make(), 3)
    world.call(m.TerminateChild(child_of("2", 2)))
    world.exits("3")
    world.send(m.Stop(SHUTDOWN))
    assert world.stopped() == "213"
    assert world.stop_ends(2) == []
    assert world.stop_ends(1) == []
    assert world.stop_ends(0) == [m.Leave(SHUTDOWN)]


@BOTH
def test_children_that_wait_for_a_retry_need_no_stop(make: Callable[[], World]) -> None:
    """They have no process."""
    world = started(make())
    world.exits("1")
    world.start_fails()
    assert world.send(m.Stop(SHUTDOWN)) == [m.Leave(SHUTDOWN)]


def test_a_thousand_short_lived_temporary_children_leave_nothing_behind() -> None:
    """OTP's scale test: state does not grow."""
    world = simple(restart="temporary")
    for _ in range(1000):
        world.call(m.StartFromTemplate())
        world.start_succeeds()
        world.exits(next(iter(world.living)))
    assert (world.state.slots, world.state.stamps, world.answers[1000].key) == ({}, [], "1000")
