"""The restart window, sentence by sentence of OTP's `supervisor`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisors import Exit, SupervisorSpec
from supervisors import messages as m
from supervisors.intensity import add_restart, exceeded
from tests.unit.supervisors.world import World, spec_of, specs_of, world_of


def test_a_stamp_as_old_as_the_period_still_counts() -> None:
    """OTP keeps stamps at or after now minus the period."""
    assert add_restart([1.0, 2.0], now=6.0, max_seconds=5.0) == [1.0, 2.0, 6.0]


def test_a_stamp_older_than_the_period_is_forgotten() -> None:
    """Just outside the window is outside."""
    assert add_restart([0.999, 2.0], now=6.0, max_seconds=5.0) == [2.0, 6.0]


def test_as_many_restarts_as_the_intensity_are_allowed_and_one_more_is_not() -> None:
    """The count must exceed the intensity."""
    assert [exceeded([0.0] * n, 2) for n in range(5)] == [False, False, False, True, True]


def test_with_intensity_zero_the_first_restart_is_one_too_many() -> None:
    """Intensity 0: the first failure is fatal."""
    assert exceeded(add_restart([], now=0.0, max_seconds=5.0), 0)


@given(st.lists(st.floats(0, 100), max_size=30).map(sorted), st.floats(0.1, 20))
def test_the_stamps_are_always_those_of_the_window_that_ends_now(times: list[float], period: float) -> None:
    """However restarts fall, what is kept is what a fresh count over all of history would find."""
    stamps: list[float] = []
    for index, now in enumerate(times):
        stamps = add_restart(stamps, now, period)
        assert stamps == [time for time in times[:index] if time >= now - period] + [now]


def crashed(world: World, *times: float) -> World:
    """Child "a" crashes at these times and comes back each time, as long as it does."""
    for time in times:
        world.now = time
        if "a" in world.living:
            world.exits("a", Exit("crash", "boom"))
        world.settle()
    return world


def test_one_restart_in_five_seconds_is_the_default_and_a_second_one_is_fatal() -> None:
    """As OTP's."""
    world = World(SupervisorSpec(children=specs_of("ab"))).up()
    assert crashed(world, 0.0, 5.001).left is None
    assert crashed(world, 10.001).left is not None


def test_on_demand_three_restarts_in_five_seconds_are_the_default() -> None:
    """As Elixir's DynamicSupervisor's."""
    world = World(SupervisorSpec(strategy="dynamic")).up()
    world.ask(m.StartChild(spec_of("a")))
    for _ in range(3):
        world.exits("1")
        world.settle()
    assert world.left is None
    world.exits("1")
    assert world.left is not None
    assert world.left.gave_up


def test_restarts_that_are_spread_out_never_exceed_it() -> None:
    """The window moves."""
    assert crashed(world_of("a", restarts=2), *[2.6 * n for n in range(20)]).left is None


def test_all_children_share_one_counter() -> None:
    """It is the supervisor's."""
    world = world_of("abc", restarts=2)
    for id_ in "abc":
        world.exits(id_)
    assert world.left is None  # it still stops those that are starting
    world.settle()
    assert world.left is not None


def test_giving_up_stops_the_others_in_reverse_and_leaves_with_shutdown_and_the_cause() -> None:
    """The dead child needs no stop; the parent sees `shutdown`."""
    world = world_of("abcd", restarts=0)
    world.exits("b", Exit("crash", "boom"))
    world.settle()
    assert (world.stopped(), world.started()) == ("dca", "")
    assert world.left == m.Leave(Exit("shutdown", "child 'b' ended (crash: boom) once too often"), gave_up=True)


def test_giving_up_answers_who_waits() -> None:
    """The call being served and those behind it."""
    world = world_of("a", restarts=0)
    refs = [world.call(m.StartChild(spec_of("b"))), world.call(m.TerminateChild("a"))]
    world.exits("a")
    assert [world.answers[ref].code for ref in refs] == ["shutdown", "shutdown"]


def test_exits_that_do_not_count_restart_the_child_without_a_stamp() -> None:
    """A predicate of the specification says which: here, the loss of a node does not."""
    spec = SupervisorSpec(max_restarts=0, children=specs_of("a"), counts=lambda reason: reason.kind != "node_lost")
    world = World(spec).up()
    for _ in range(5):
        world.exits("a", Exit("node_lost"))
        world.settle()
    assert (world.left, world.state.stamps) == (None, [])
    world.exits("a", Exit("crash"))
    assert world.left is not None


def test_whether_a_repeated_attempt_counts_is_asked_of_the_start_that_failed() -> None:
    """Not of the exit that began it."""
    spec = SupervisorSpec(max_restarts=1, children=specs_of("a"), counts=lambda reason: reason.kind == "init_failed")
    world = World(spec).up()
    world.exits("a", Exit("killed"))
    world.start_fails()
    world.retry_comes()
    assert len(world.state.stamps) == 1


def test_a_predicate_that_raises_ends_the_supervisor_with_its_error() -> None:
    """As a callback module that crashes would in OTP: the children are stopped, the parent decides."""

    def broken(reason: Exit) -> bool:
        raise KeyError(reason.kind)

    world = World(SupervisorSpec(children=specs_of("ab"), counts=broken)).up()
    world.exits("a")
    world.settle()
    assert world.stopped() == "b"
    assert world.left is not None
    assert (world.left.reason.kind, world.left.gave_up) == ("crash", False)
    assert "raised KeyError: 'killed'" in world.left.reason.detail
