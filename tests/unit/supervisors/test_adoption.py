"""A second life: a supervisor whose process was lost takes over what lives, and goes on with what was under way."""

from __future__ import annotations

import pickle
from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from supervisors import Backoff, Exit, SupervisorSpec
from supervisors import messages as m
from supervisors.spec import STRATEGIES
from supervisors.state import Group, Memory, new_state, remember
from tests.unit.supervisors.world import BOOM, KILLED, SHUTDOWN, World, child_of, spec_of, specs_of, world_of

STATIC = pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])


def with_three(strategy: str) -> World:
    """Three children that run, however they came."""
    if strategy in ("one_for_one", "one_for_all", "rest_for_one"):
        return world_of("abc", strategy=strategy)
    template = specs_of("t") if strategy == "simple_one_for_one" else ()
    world = World(SupervisorSpec(strategy=strategy, children=template, max_restarts=9)).up()  # type: ignore[arg-type]
    for _ in range(3):
        world.ask(m.StartFromTemplate() if template else m.StartChild(spec_of("a")))
    return world


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_children_that_live_are_taken_over_and_nothing_is_started(strategy: str) -> None:
    """In each strategy; it is ready at once, and answers as before."""
    world = with_three(strategy)
    again = world.next_life()
    assert again.log == [m.Ready()]
    assert again.ask(m.WhichChildren()) == world.ask(m.WhichChildren())
    assert again.ask(m.CountChildren()) == world.ask(m.CountChildren())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_child_that_was_taken_over_is_supervised_as_before(strategy: str) -> None:
    """Its exit restarts it, with a number that was never used; a stop stops it."""
    again = with_three(strategy).next_life()
    key = list(again.living)[2]
    again.exits(key)
    again.settle()
    assert again.living[key] > 3
    again.send(m.Stop(SHUTDOWN))
    again.settle()
    assert (again.living, again.left) == ({}, m.Leave(SHUTDOWN))


@pytest.mark.parametrize(
    ("strategy", "stopped", "started"),
    [("one_for_one", "", "b"), ("one_for_all", "ca", "abc"), ("rest_for_one", "c", "bc")],
)
def test_a_child_that_is_not_found_has_exited_meanwhile(strategy: str, stopped: str, started: str) -> None:
    """It is restarted as the strategy says, which counts once."""
    again = world_of("abc", strategy=strategy).next_life("b")
    again.settle()
    assert (again.stopped(), again.started(), len(again.state.stamps)) == (stopped, started, 1)


@pytest.mark.parametrize(
    ("restart", "reason", "kept", "started"),
    [
        ("permanent", Exit("normal"), ["a"], "a"),
        ("transient", Exit("normal"), ["a"], ""),
        ("transient", Exit("node_lost"), ["a"], "a"),
        ("temporary", Exit("node_lost"), [], ""),
    ],
)
def test_how_it_ended_decides_if_that_is_known(restart: str, reason: Exit, kept: list[str], started: str) -> None:
    """The table of restart types, as ever."""
    world = World(SupervisorSpec(children=(spec_of("a", restart=restart),))).up()
    again = world.next_life(a=reason)
    assert (again.started(), list(again.state.slots)) == (started, kept)


def test_how_it_ended_is_not_known_by_itself() -> None:
    """Then it was gone: a transient child is restarted."""
    world = World(SupervisorSpec(children=(spec_of("a", restart="transient"),))).up()
    again = world.next_life("a")
    assert again.started() == "a"
    assert again.state.slots["a"].last_exit == Exit("noproc", "it was gone when its supervisor came back")


def test_restarts_of_the_former_life_count_in_the_window_by_their_age() -> None:
    """The monotonic clock of the new process may be another one."""
    world = world_of("a", restarts=1)
    world.now = 100.0
    world.exits("a")
    world.settle()
    world.now = 103.0
    memory = remember(world.state, world.now)
    assert memory.ages == (3.0,)
    assert new_state(world.spec, memory, now=10.0).stamps == [7.0]


def test_an_intensity_that_is_used_up_is_exceeded_by_what_was_lost_meanwhile() -> None:
    """A supervisor does not start afresh by dying."""
    world = world_of("ab", restarts=1)
    world.exits("a")
    world.settle()
    again = world.next_life("b")
    again.settle()
    assert again.left is not None
    assert (again.left.gave_up, again.stopped()) == (True, "a")


def test_a_child_that_was_stopped_stays_stopped() -> None:
    """Terminated, or ended well."""
    world = world_of("ab", stopped="a")
    assert world.next_life().log == [m.Ready()]


def test_a_declared_child_that_is_gone_for_good_does_not_come_back() -> None:
    """A temporary one that ended, and one that was deleted."""
    children = (spec_of("a", restart="temporary"), spec_of("b"), spec_of("c"))
    world = World(SupervisorSpec(children=children)).up()
    world.exits("a")
    world.ask(m.TerminateChild("b"))
    world.ask(m.DeleteChild("b"))
    again = world.next_life()
    assert (list(again.state.slots), again.log) == (["c"], [m.Ready()])


def test_a_child_that_start_child_brought_is_remembered_with_its_specification_and_place() -> None:
    """Also under an id that was declared otherwise."""
    world = world_of("ab", stopped="a")
    world.ask(m.DeleteChild("a"))
    spec = spec_of("a", args=(7,), restart="transient")
    world.ask(m.StartChild(spec))
    again = world.next_life("a")
    assert list(again.state.slots) == ["b", "a"]
    assert again.open_starts[0].spec == spec


def test_an_init_that_was_interrupted_goes_on_in_order() -> None:
    """What is found is not started again; what was starting and is not found is."""
    world = World(SupervisorSpec(children=specs_of("abcd")))
    world.send(m.Init())
    world.start_succeeds()
    again = world.next_life()
    assert again.seen(m.Ready) == []
    again.settle()
    assert (again.started(), again.state.stamps) == ("bcd", [])
    assert isinstance(again.log[-1], m.Ready)


def test_a_child_that_is_found_though_nobody_remembers_its_start_is_not_started_again() -> None:
    """The memory may be a step behind; numbers go on above what was found."""
    world = World(SupervisorSpec(children=specs_of("ab")))
    world.send(m.Init({"a": (7, child_of("a", 7))}))
    assert world.started() == "b"
    assert (world.state.slots["a"].status, world.open_starts[0].instance) == ("running", 8)


def test_a_child_that_its_group_has_started_though_nobody_remembers_is_not_started_again() -> None:
    """The same in the middle of a group's restart."""
    world = world_of("ab", strategy="one_for_all")
    world.exits("b")
    world.exits("a")
    memory = remember(replace(world.state, group=Group([], deque("ab"))), 0.0)
    again = World(world.spec, memory=memory, living={"a": 5})
    again.send(m.Init({"a": (5, child_of("a", 5))}))
    assert again.started() == "b"


def test_a_child_that_is_found_and_not_known_any_more_is_stopped() -> None:
    """The specification of this life has it no longer, and nobody else would stop it."""
    again = world_of("ab").next_life(spec=SupervisorSpec(children=specs_of("a")))
    assert again.log == [m.StopChild("b", 2, 5.0), m.Ready()]
    assert again.state.instances == 2


def test_a_child_that_the_specification_has_and_the_memory_has_not_is_started() -> None:
    """In the last place: those that live were started before it."""
    world = world_of("ac")
    again = world.next_life(spec=SupervisorSpec(children=specs_of("abc")))
    again.settle()
    assert (again.started(), list(again.state.slots)) == ("b", ["a", "c", "b"])


def test_a_restart_that_was_under_way_is_made_again_without_a_further_stamp() -> None:
    """It was neither a success nor a failure."""
    world = world_of("a", restarts=1)
    world.exits("a")
    again = world.next_life()
    again.settle()
    assert (again.started(), len(again.state.stamps), again.left) == ("a", 1, None)


def test_a_restart_that_was_under_way_and_is_known_to_have_failed_is_tried_again() -> None:
    """Which is one more attempt."""
    world = world_of("a")
    world.exits("a")
    again = world.next_life(a=BOOM)
    assert [type(effect) for effect in again.log] == [m.Retry, m.Ready]
    again.settle()
    assert (list(again.living), len(again.state.stamps)) == (["a"], 2)


def test_a_child_between_two_attempts_is_tried_again() -> None:
    """Nothing else would."""
    world = world_of("a")
    world.exits("a")
    world.start_fails()
    again = world.next_life()
    assert again.state.slots["a"].status == "restarting"
    again.settle()
    assert (list(again.living), len(again.state.stamps)) == (["a"], 2)


def test_a_back_off_waits_in_the_second_life_too_and_does_not_begin_anew() -> None:
    """As long as it would have waited the last time."""
    world = World(SupervisorSpec(max_restarts=9, children=(spec_of("a", backoff=Backoff(1.0, 9.0)),))).up()
    for _ in range(2):
        world.exits("a")
        world.settle()
    world.exits("a")
    again = world.next_life()
    assert again.seen(m.Retry) == [m.Retry("a", 3, 4.0)]


@STATIC
@pytest.mark.parametrize("stops", [0, 1, 2])
@pytest.mark.parametrize("starts", [0, 1, 2])
def test_a_group_s_restart_goes_on_where_it_was(strategy: str, stops: int, starts: int) -> None:
    """Whatever it had stopped and started: each child runs in the end, and the group counted once."""
    world = world_of("abc", strategy=strategy, restarts=1)
    world.exits("a")
    for _ in range(min(stops, len(world.open_stops))):
        world.stop_ends()
    for _ in range(min(starts, len(world.open_starts))):
        world.start_succeeds()
    before = dict(world.living) if not world.open_stops else {}
    again = world.next_life()
    again.settle()
    assert sorted(again.living) == ["a", "b", "c"]
    assert before.items() <= again.living.items()
    assert (len(again.state.stamps), again.left) == (1, None)


def test_a_group_s_restart_asks_again_what_it_was_stopping() -> None:
    """The new process does not know whether it was told; nobody is told twice to start."""
    world = world_of("abc", strategy="one_for_all")
    world.exits("b")
    again = world.next_life()
    assert again.log == [m.Ready(), m.StopChild("c", 3, 5.0)]


def test_an_exit_that_waited_is_told_again_with_its_reason() -> None:
    """It had been seen."""
    world = World(SupervisorSpec(children=(spec_of("a", restart="transient"), spec_of("b"))))
    world.send(m.Init())
    world.start_succeeds()
    world.exits("a", Exit("normal"))
    again = world.next_life()
    again.settle()
    assert (again.state.slots["a"].status, again.started()) == ("stopped", "b")


def test_a_child_that_a_call_was_terminating_is_terminated() -> None:
    """It is asked again if it lives, and stays stopped if it does not; the number of asks does not matter to it."""
    world = world_of("ab")
    world.call(m.TerminateChild("a"))
    for again in (world.next_life(), world.next_life("a")):
        again.settle()
        assert (again.state.slots["a"].status, list(again.living), again.started()) == ("stopped", ["b"], "")


def test_a_start_that_a_call_asked_for_is_undone_if_nothing_of_it_is_found() -> None:
    """Its caller was told that the supervisor is gone, not of a child; what is found is kept."""
    for request in (m.StartChild(spec_of("d")), m.RestartChild("a")):
        world = world_of("ab", stopped="a")
        world.call(request)
        again = world.next_life()
        assert (again.log, list(again.state.slots)) == ([m.Ready()], ["a", "b"])
    world.start_succeeds()
    assert world.next_life().log == [m.Ready()]


def test_a_child_on_demand_that_a_call_asked_for_is_undone_likewise() -> None:
    """And does not count for max_children."""
    world = with_three("dynamic")
    world.call(m.StartChild(spec_of("d")))
    again = world.next_life()
    assert list(again.state.slots) == ["1", "2", "3"]
    assert again.ask(m.StartChild(spec_of("d"))) == child_of("5", 5)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_stop_that_was_under_way_is_finished(strategy: str) -> None:
    """It leaves with what it would have left with."""
    world = with_three(strategy)
    world.send(m.Stop(Exit("shutdown", "enough")))
    world.stop_ends()
    again = world.next_life()
    again.settle()
    assert (again.living, again.left) == ({}, m.Leave(Exit("shutdown", "enough")))
    assert again.seen(m.Ready) == []


def test_a_second_life_that_is_stopped_before_it_begins_stops_what_it_finds() -> None:
    """Nobody else would; nothing is started on the way."""
    world = world_of("abc")
    again = World(world.spec, memory=remember(world.state, 0.0), living={"a": 1, "b": 2})
    again.send(m.Stop(SHUTDOWN))
    again.send(m.Init({"a": (1, child_of("a", 1)), "b": (2, child_of("b", 2))}))
    again.settle()
    assert (again.stopped(), again.started(), again.left) == ("ba", "", m.Leave(SHUTDOWN))


def test_a_restart_and_an_init_that_go_on_together_do_not_disturb_each_other() -> None:
    """The specification has two new children; the restart of another was under way."""
    world = world_of("a")
    world.exits("a")
    again = world.next_life(spec=SupervisorSpec(max_restarts=9, children=specs_of("abc")))
    assert again.started() == "ab"
    again.start_succeeds()
    assert again.started() == "ab"
    again.start_succeeds()
    assert (again.started(), again.seen(m.Ready)) == ("abc", [])
    again.settle()
    assert (sorted(again.living), again.left) == (["a", "b", "c"], None)


def test_a_supervisor_that_was_giving_up_still_does() -> None:
    """Its parent has to hear of it."""
    world = world_of("ab", restarts=0)
    world.exits("a", KILLED)
    again = world.next_life()
    again.settle()
    assert again.left is not None
    assert (again.left.gave_up, again.started()) == (True, "")


def test_who_asked_the_former_life_is_not_answered_by_this_one() -> None:
    """Their references mean nothing any more."""
    world = world_of("ab")
    world.call(m.TerminateChild("a"))
    world.call(m.TerminateChild("b"))
    again = world.next_life()
    again.settle()
    assert again.answers == {}


def test_what_people_see_survives() -> None:
    """Restarts, the last exit, and since when it runs."""
    world = world_of("a")
    world.exits("a", KILLED)
    world.now = 5.0
    world.settle()
    world.now = 8.0
    slot = world.next_life().state.slots["a"]
    assert (slot.restarts, slot.last_exit, slot.since) == (1, KILLED, 5.0)


def test_a_memory_is_plain_data() -> None:
    """It travels, and comes back the same."""
    world = world_of("ab", stopped="b", strategy="one_for_all")
    world.ask(m.StartChild(spec_of("c")))
    world.exits("a")
    world.call(m.DeleteChild("b"))
    memory = remember(world.state, 3.0)
    assert pickle.loads(pickle.dumps(memory)) == memory
    assert memory.group == (("a", "b", "c"), ("a", "b", "c"))


def test_an_empty_memory_is_no_memory() -> None:
    """A first life."""
    spec: Any = SupervisorSpec(children=specs_of("ab"))
    assert new_state(spec, Memory()) == new_state(spec, None) == new_state(spec)
