"""Other specifications from now on: OTP's `code_change`."""

from __future__ import annotations

import pytest

from supervisors import BadSpec, ChildSpec, MaxChildren, SupervisorSpec
from supervisors import messages as m
from supervisors.spec import AUTO_SHUTDOWNS, AutoShutdown
from tests.unit.supervisors.world import NORMAL, World, child_of, spec_of, specs_of, world_of


def updated(world: World, spec: SupervisorSpec) -> World:
    """After the update, which is answered at once and does nothing to any child."""
    mark = len(world.log)
    ref = world.call(m.UpdateSpecs(spec))
    assert world.log[mark:] == [m.Reply(ref, None)]
    return world


def test_a_child_that_stays_runs_on_and_gets_its_new_specification_with_its_next_restart() -> None:
    """Arguments, restart type, shutdown."""
    world = updated(world_of("a"), SupervisorSpec(children=(spec_of("a", args=(2,), shutdown=1.0),)))
    assert world.living == {"a": 1}
    world.exits("a")
    assert world.open_starts[0].spec.args == (2,)
    world.call(m.TerminateChild("a"))
    assert world.open_stops[0].shutdown == 1.0


def test_a_new_restart_type_counts_from_the_next_exit_on() -> None:
    """It was permanent when it was started."""
    world = updated(world_of("a"), SupervisorSpec(children=(spec_of("a", restart="temporary"),)))
    world.exits("a")
    assert (world.state.slots, world.started()) == ({}, "")


def test_a_new_child_is_not_started_and_restart_child_does_so() -> None:
    """As in OTP."""
    world = updated(world_of("a"), SupervisorSpec(children=specs_of("ab")))
    assert world.ask(m.WhichChild("b")).child is None
    assert world.ask(m.RestartChild("b")) == child_of("b", 2)


def test_a_removed_child_runs_on_and_is_supervised() -> None:
    """It comes after those of the new specification, and can be terminated and deleted."""
    world = updated(world_of("abc"), SupervisorSpec(children=specs_of("cb"), max_restarts=9))
    assert list(world.state.slots) == ["c", "b", "a"]
    world.exits("a")
    world.settle()
    assert world.started() == "a"
    assert world.ask(m.TerminateChild("a")) is None
    assert world.ask(m.DeleteChild("a")) is None


def test_the_new_order_holds_from_then_on() -> None:
    """For stops and for restarts of groups."""
    world = updated(
        world_of("abc", strategy="one_for_all"), SupervisorSpec(strategy="one_for_all", children=specs_of("bca"))
    )
    world.exits("c")
    world.settle()
    assert (world.stopped(), world.started()) == ("ab", "bca")


def test_strategy_and_intensity_are_the_new_ones_and_restarts_so_far_still_count() -> None:
    """The window is not emptied."""
    world = world_of("ab")
    world.exits("a")
    world.settle()
    updated(world, SupervisorSpec(strategy="one_for_all", max_restarts=1, children=specs_of("ab")))
    world.exits("a")
    world.settle()
    assert world.left is not None
    assert world.left.gave_up


def test_an_update_waits_for_the_calls_before_it() -> None:
    """Calls are served one after the other."""
    world = world_of("a")
    world.call(m.StartChild(spec_of("b")))
    ref = world.call(m.UpdateSpecs(SupervisorSpec()))
    assert ref not in world.answers
    world.settle()
    assert (world.answers[ref], list(world.state.slots)) == (None, ["a", "b"])


def test_an_update_while_a_child_is_restarted_concerns_its_next_start() -> None:
    """The start under way has the old one."""
    world = world_of("a")
    world.exits("a")
    updated(world, SupervisorSpec(max_restarts=9, children=(spec_of("a", args=(2,)),)))
    world.start_fails()
    world.retry_comes()
    assert world.open_starts[0].spec.args == (2,)


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_restart_under_way_under_the_old_strategy_does_not_disturb_a_group_s_under_the_new_one(strategy: str) -> None:
    """The group's order is its own."""
    world = world_of("abcd")
    world.exits("a")
    updated(world, SupervisorSpec(strategy=strategy, max_restarts=9, children=specs_of("abcd")))  # type: ignore[arg-type]
    world.exits("c")
    while world.open_stops and world.open_stops[0].id != "a":
        world.stop_ends()
    if strategy == "rest_for_one":
        assert [start.id for start in world.open_starts] == ["a", "c"]
        world.start_succeeds()
        assert [start.id for start in world.open_starts] == ["c"]
    world.settle()
    assert sorted(world.living) == ["a", "b", "c", "d"]


def test_a_new_template_is_for_new_children_and_for_restarts_with_the_old_arguments() -> None:
    """OTP keeps each child's arguments, not its function."""
    world = World(SupervisorSpec(strategy="simple_one_for_one", children=(spec_of("t", args=(1,)),))).up()
    world.ask(m.StartFromTemplate((2,)))
    template = spec_of("t", args=(7,), shutdown=1.0)
    updated(world, SupervisorSpec(strategy="simple_one_for_one", children=(template,)))
    world.exits("1")
    assert (world.open_starts[0].spec.args, world.open_starts[0].spec.shutdown) == ((1, 2), 1.0)
    world.settle()
    world.ask(m.StartFromTemplate((8,)))
    assert world.seen(m.Start)[-1].spec.args == (7, 8)


def test_a_temporary_child_of_the_template_stays_one_when_the_template_changes() -> None:
    """Its arguments are not known any more, so nothing could start it again."""
    old = spec_of("t", args=(1,), restart="temporary")
    world = World(SupervisorSpec(strategy="simple_one_for_one", children=(old,))).up()
    world.ask(m.StartFromTemplate((2,)))
    assert world.state.slots["1"].spec.args == ()
    for template in (spec_of("t", restart="temporary", shutdown=1.0), spec_of("t", spares=1)):
        updated(world, SupervisorSpec(strategy="simple_one_for_one", children=(template,)))
    assert (world.state.slots["1"].spec.restart, world.state.slots["1"].spec.shutdown) == ("temporary", 1.0)
    assert (world.exits("1"), world.state.slots) == ([], {})


def test_max_children_is_the_new_one_and_ends_nobody() -> None:
    """Those that are too many stay; no further one is started."""
    world = World(SupervisorSpec(strategy="dynamic")).up()
    for _ in range(2):
        world.ask(m.StartChild(spec_of("a")))
    updated(world, SupervisorSpec(strategy="dynamic", max_children=1))
    assert world.ask(m.StartChild(spec_of("a"))) == MaxChildren(1)
    assert len(world.living) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SupervisorSpec(), SupervisorSpec(strategy="dynamic")),
        (SupervisorSpec(strategy="dynamic"), SupervisorSpec()),
        (SupervisorSpec(strategy="dynamic"), SupervisorSpec(strategy="simple_one_for_one", children=specs_of("t"))),
    ],
)
def test_what_is_started_on_demand_stays_so(old: SupervisorSpec, new: SupervisorSpec) -> None:
    """The refusal says what to do, and changes nothing."""
    world = World(old).up()
    answer = world.ask(m.UpdateSpecs(new))
    assert isinstance(answer, BadSpec)
    assert str(answer).endswith("start another one.")
    assert world.state.spec is old


def test_a_template_that_cannot_take_the_children_s_arguments_is_refused_as_a_whole() -> None:
    """Nothing of it is taken over."""
    world = World(SupervisorSpec(strategy="simple_one_for_one", children=specs_of("t"))).up()
    world.ask(m.StartFromTemplate((1,)))
    template = ChildSpec("t", start=SupervisorSpec())
    spec = SupervisorSpec(strategy="simple_one_for_one", children=(template,))
    assert isinstance(world.ask(m.UpdateSpecs(spec)), BadSpec)
    assert (world.state.spec, world.state.slots["1"].spec.args) == (world.spec, (1,))


@pytest.mark.parametrize("old", AUTO_SHUTDOWNS)
@pytest.mark.parametrize(("new", "ends"), [("never", 9), ("any_significant", 1), ("all_significant", 2)])
def test_auto_shutdown_is_the_new_one(old: AutoShutdown, new: AutoShutdown, ends: int) -> None:
    """How many of two significant children have to end, whatever it was when they were started."""
    marked = tuple(spec_of(id_, restart="transient", significant=True) for id_ in "ab")
    plain = specs_of("ab", restart="transient")
    world = World(SupervisorSpec(children=plain if old == "never" else marked, auto_shutdown=old)).up()
    updated(world, SupervisorSpec(children=plain if new == "never" else marked, auto_shutdown=new))
    refused = isinstance(world.ask(m.StartChild(spec_of("c", restart="transient", significant=True))), BadSpec)
    assert refused == (new == "never")
    world.ask(m.TerminateChild("c"))
    for ended, id_ in enumerate("ab", start=1):
        if id_ in world.living:
            world.exits(id_, NORMAL)
            world.settle()
        assert (world.left is not None) == (ended >= ends)


def test_a_removed_significant_child_ends_nothing_where_auto_shutdown_is_never_now() -> None:
    """It goes on running, and can be restarted."""
    children = (spec_of("a", restart="transient", significant=True),)
    world = World(SupervisorSpec(children=children, auto_shutdown="any_significant")).up()
    updated(world, SupervisorSpec())
    assert world.exits("a", NORMAL) == []
    assert world.ask(m.RestartChild("a")) == child_of("a", 2)


def test_children_that_are_significant_no_longer_end_nothing() -> None:
    """From then on."""
    child = spec_of("a", restart="transient", significant=True)
    world = World(SupervisorSpec(children=(child,), auto_shutdown="any_significant")).up()
    updated(world, SupervisorSpec(children=specs_of("a", restart="transient"), auto_shutdown="any_significant"))
    assert world.exits("a", NORMAL) == []


def test_significant_children_of_the_new_specification_are_significant() -> None:
    """From then on."""
    world = world_of("a")
    child = spec_of("a", restart="transient", significant=True)
    updated(world, SupervisorSpec(children=(child,), auto_shutdown="any_significant"))
    assert isinstance(world.exits("a", NORMAL)[-1], m.Leave)
