"""Laws of the core: random children, random exits, random calls; what must hold always, holds."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from supervisors import ChildSpec, Exit, SupervisorSpec
from supervisors import messages as m
from supervisors.exits import ExitKind
from tests.unit.supervisors.world import World, spec_of

IDS = ["a", "b", "c", "d"]
Act = tuple[str, str, float]

acts = st.lists(
    st.tuples(
        st.sampled_from(["exit", "ok", "fail", "retry", "start", "terminate", "restart", "delete", "stop", "stopped"]),
        st.sampled_from(IDS),
        st.floats(0, 3),
    ),
    max_size=40,
)
specs = st.builds(
    lambda kinds, restarts, seconds: SupervisorSpec(
        max_restarts=restarts,
        max_seconds=seconds,
        children=tuple(spec_of(id_, restart=kind) for id_, kind in zip(IDS, kinds, strict=False)),
    ),
    st.lists(st.sampled_from(["permanent", "temporary"]), max_size=3),
    st.integers(0, 3),
    st.floats(0.5, 5),
)


def play(world: World, act: Act) -> None:
    """One thing that may happen, if it can happen now."""
    what, id_, seconds = act
    world.now += seconds
    requests: dict[str, Callable[[], m.Request]] = {
        "start": lambda: m.StartChild(spec_of(id_)),
        "terminate": lambda: m.TerminateChild(id_),
        "restart": lambda: m.RestartChild(id_),
        "delete": lambda: m.DeleteChild(id_),
    }
    if what in requests:
        world.call(requests[what]())
    elif what == "exit" and id_ in world.living:
        world.exits(id_)
    elif what in ("ok", "fail") and world.open_starts:
        world.start_succeeds() if what == "ok" else world.start_fails()
    elif what == "stop":
        world.send(m.Stop(Exit("shutdown")))
    elif what == "retry":
        for retry in world.seen(m.Retry)[-1:]:
            world.send(m.TryAgain(retry.id, retry.instance))
    elif what == "stopped":
        for stop in world.seen(m.StopChild)[-1:]:
            if world.living.get(stop.id) == stop.instance:
                world.exits(stop.id)


def played(spec: SupervisorSpec, script: list[Act]) -> World:
    """A world in which all of it has happened."""
    world = World(spec)
    world.send(m.Init())
    for act in script:
        play(world, act)
    return world


@given(specs, acts)
def test_the_same_events_give_the_same_effects(spec: SupervisorSpec, script: list[Act]) -> None:
    """No clock, no chance: the core is a function."""
    assert played(spec, script).log == played(spec, script).log


@given(specs, acts)
def test_the_intensity_window_is_never_exceeded(spec: SupervisorSpec, script: list[Act]) -> None:
    """Counted from outside: attempts to restart within any window are at most max_restarts."""
    world, attempts = World(spec), []
    world.send(m.Init())
    for act in script:
        before = sum(slot.restarts for slot in world.state.slots.values())
        play(world, act)
        after = sum(slot.restarts for slot in world.state.slots.values())
        attempts += [world.now] * max(0, after - before)
    for end in attempts:
        assert len([at for at in attempts if end - spec.max_seconds <= at <= end]) <= spec.max_restarts


@given(specs, acts)
def test_every_call_is_answered_exactly_once_and_none_is_forgotten(spec: SupervisorSpec, script: list[Act]) -> None:
    """The world refuses a second answer; when all has settled nobody waits."""
    world = played(spec, script)
    world.settle()
    assert set(world.answers) == set(range(1, world.calls + 1))


@given(specs, acts)
def test_a_supervisor_that_leaves_has_stopped_every_child_in_reverse(spec: SupervisorSpec, script: list[Act]) -> None:
    """After the decision to stop, the stops run against the start order, and the last effect is to leave."""
    world = played(spec, script)
    world.settle()
    order, mark = [*world.state.slots], len(world.log)
    alive = [id_ for id_ in order if id_ in world.living]
    world.send(m.Stop(Exit("shutdown")))
    world.settle()
    stops = [effect.id for effect in world.log[mark:] if isinstance(effect, m.StopChild)]
    assert stops == alive[::-1]
    assert not world.living
    assert [type(effect) for effect in world.log].count(m.Leave) == 1
    assert isinstance([effect for effect in world.log if not isinstance(effect, m.Reply)][-1], m.Leave)


@given(st.permutations(IDS))
def test_children_start_in_order_each_after_the_one_before_is_up(ids: list[str]) -> None:
    """At no time are two first starts open."""
    world = World(SupervisorSpec(children=tuple(map(spec_of, ids))))
    world.send(m.Init())
    while world.open_starts:
        assert len(world.open_starts) == 1
        world.start_succeeds()
    assert [start.id for start in world.seen(m.Start)] == ids
    assert isinstance(world.log[-1], m.Ready)


@given(st.permutations(IDS), st.integers(0, 3))
def test_an_init_that_fails_stops_what_was_started_in_reverse(ids: list[str], failing: int) -> None:
    """Roll-back, then leave with the child's id and reason."""
    world = World(SupervisorSpec(children=tuple(map(spec_of, ids))))
    world.send(m.Init())
    for _ in range(failing):
        world.start_succeeds()
    world.start_fails()
    world.settle()
    assert [stop.id for stop in world.seen(m.StopChild)] == ids[:failing][::-1]
    assert world.log[-1].error.id == ids[failing]  # type: ignore[union-attr]


@given(st.sampled_from(["normal", "shutdown", "killed", "crash", "node_lost"]))
def test_a_permanent_child_is_always_restarted(kind: ExitKind) -> None:
    """Whatever the reason."""
    world = World(SupervisorSpec(children=(spec_of("a"),))).up()
    assert [type(effect) for effect in world.exits("a", Exit(kind))] == [m.Start]


@given(st.sampled_from(["normal", "shutdown", "killed", "crash", "node_lost"]))
def test_a_temporary_child_never_is_and_its_specification_is_gone(kind: ExitKind) -> None:
    """Whatever the reason."""
    children: tuple[ChildSpec, ...] = (spec_of("a", restart="temporary"),)
    world = World(SupervisorSpec(max_restarts=0, children=children)).up()
    assert world.exits("a", Exit(kind)) == []
    assert world.state.slots == {}
