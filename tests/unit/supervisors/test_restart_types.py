"""Restart types: a row for each type and exit reason, for children that are declared and for those on demand."""

from __future__ import annotations

import pytest

from supervisors import AlreadyPresent, AlreadyStarted, Child, Exit, SupervisorSpec
from supervisors import messages as m
from supervisors.core import after_exit
from supervisors.exits import EXIT_KINDS, ExitKind
from supervisors.spec import GROUP_STRATEGIES, RESTARTS, RestartType, Strategy
from tests.unit.supervisors.world import SHUTDOWN, World, spec_of

WELL = ("normal", "shutdown")
TABLE = [
    (restart, kind, "restart" if restart == "permanent" or (restart == "transient" and kind not in WELL) else "stay")
    for restart in RESTARTS
    for kind in EXIT_KINDS
]


def one(restart: RestartType, strategy: str = "one_for_one") -> World:
    """A supervisor of one running child, whose key is "a" or "1"."""
    if strategy == "dynamic":
        world = World(SupervisorSpec(strategy="dynamic", max_restarts=1)).up()
        world.ask(m.StartChild(spec_of("a", restart=restart)))
    else:
        world = World(SupervisorSpec(max_restarts=1, children=(spec_of("a", restart=restart),))).up()
    world.log.clear()
    return world


@pytest.mark.parametrize(("restart", "kind", "becomes"), TABLE)
def test_a_declared_child_is_restarted_kept_or_dropped_by_its_type_and_reason(
    restart: RestartType, kind: ExitKind, becomes: str
) -> None:
    """Permanent always, transient unless it ended well, temporary never; only a temporary one's specification goes."""
    world = one(restart)
    effects = world.exits("a", Exit(kind, "why"))
    assert [type(effect) for effect in effects] == ([m.Start] if becomes == "restart" else [])
    assert list(world.state.slots) == ([] if restart == "temporary" else ["a"])
    assert len(world.state.stamps) == (becomes == "restart")


@pytest.mark.parametrize(("restart", "kind", "becomes"), TABLE)
def test_a_child_on_demand_that_is_not_restarted_is_dropped(restart: RestartType, kind: ExitKind, becomes: str) -> None:
    """A transient one that ended well too: there is nothing to restart it by."""
    world = one(restart, "dynamic")
    effects = world.exits("1", Exit(kind))
    assert [type(effect) for effect in effects] == ([m.Start] if becomes == "restart" else [])
    assert list(world.state.slots) == (["1"] if becomes == "restart" else [])


def test_a_transient_child_that_ended_well_is_kept_with_no_process_and_can_be_restarted() -> None:
    """It waits for restart_child."""
    world = one("transient")
    world.exits("a", Exit("shutdown", "enough"))
    assert world.ask(m.WhichChild("a")).child is None
    assert world.ask(m.RestartChild("a")) == world.state.slots["a"].child


def test_a_temporary_child_is_never_restarted_whatever_the_intensity() -> None:
    """Its exits count nothing."""
    world = World(SupervisorSpec(max_restarts=0, children=(spec_of("a", restart="temporary"),))).up()
    assert world.exits("a") == []
    assert (world.state.stamps, world.left) == ([], None)


def test_nothing_is_kept_of_a_temporary_child_so_its_id_is_free() -> None:
    """OTP: neither its specification nor its arguments are saved."""
    world = one("temporary")
    world.exits("a")
    assert world.ask(m.StartChild(spec_of("a", args=(2,)))) == world.state.slots["a"].child
    assert world.seen(m.Start)[-1].spec.args == (2,)


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
@pytest.mark.parametrize("kind", [*EXIT_KINDS, None])
def test_what_start_child_says_of_an_id_whose_child_has_ended(strategy: Strategy, kind: ExitKind | None) -> None:
    """By itself, or terminated: a temporary one's is free, others are there or run again, in every strategy."""
    world = World(SupervisorSpec(strategy=strategy, max_restarts=9)).up()
    answers = []
    for restart in RESTARTS:
        world.ask(m.StartChild(spec_of(restart, restart=restart)))
        world.exits(restart, Exit(kind)) if kind else world.ask(m.TerminateChild(restart))
        world.settle()
        answers.append(type(world.ask(m.StartChild(spec_of(restart, restart=restart)))))
    well = kind in (*WELL, None)
    assert answers == [
        AlreadyPresent if kind is None else AlreadyStarted,
        AlreadyPresent if well else AlreadyStarted,
        Child,
    ]


@pytest.mark.parametrize("strategy", [*GROUP_STRATEGIES, "one_for_one", "dynamic"])
def test_the_arguments_of_a_temporary_child_are_not_kept_while_it_runs(strategy: Strategy) -> None:
    """Nothing starts it again; those of others are."""
    world = World(SupervisorSpec(strategy=strategy)).up()
    for restart in RESTARTS:
        world.ask(m.StartChild(spec_of(restart, args=(1,), kwargs={"x": 2}, restart=restart)))
    kept = {slot.spec.id: (slot.spec.args, slot.spec.kwargs) for slot in world.state.slots.values()}
    assert kept == {"permanent": ((1,), {"x": 2}), "transient": ((1,), {"x": 2}), "temporary": ((), {})}
    assert [start.spec.args for start in world.seen(m.Start)] == [(1,)] * 3


def test_a_restart_uses_the_arguments_that_the_child_was_started_with() -> None:
    """Also where they came with start_child."""
    world = World(SupervisorSpec(strategy="simple_one_for_one", children=(spec_of("t", args=(1,)),))).up()
    world.ask(m.StartFromTemplate((2, 3)))
    world.exits("1")
    assert [start.spec.args for start in world.seen(m.Start)] == [(1, 2, 3)] * 2


def test_a_child_that_we_stop_is_not_restarted_whatever_its_reason() -> None:
    """Its exit is ours."""
    world = one("permanent")
    world.call(m.TerminateChild("a"))
    assert [type(effect) for effect in world.exits("a", Exit("crash", "in terminate"))] == [m.Reply]
    assert world.state.stamps == []


def test_the_table_has_a_row_for_each_type_and_reason() -> None:
    """As the core has it."""
    rows = {(restart, kind): after_exit(restart, Exit(kind)) for restart in RESTARTS for kind in EXIT_KINDS}
    assert {rows["permanent", kind] for kind in EXIT_KINDS} == {"restart"}
    assert {rows["temporary", kind] for kind in EXIT_KINDS} == {"drop"}
    assert [kind for kind in EXIT_KINDS if rows["transient", kind] == "keep"] == list(WELL)


def test_an_exit_of_a_supervisor_that_stops_restarts_nothing() -> None:
    """A child that dies by itself meanwhile is one less to stop."""
    world = World(SupervisorSpec(children=(spec_of("a"), spec_of("b")))).up()
    world.send(m.Stop(SHUTDOWN))
    assert world.exits("a") == []
    assert world.stop_ends() == [m.Leave(SHUTDOWN)]
    assert world.stopped() == "b"
