"""Laws of the core: any strategy, any children, any exits, failed starts, ignores, calls and stops, in any order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisors import SupervisorSpec
from supervisors import messages as m
from supervisors.spec import GROUP_STRATEGIES, Strategy
from tests.unit.supervisors.play import Act, Play, acts, begun, played, specs, stop
from tests.unit.supervisors.world import SHUTDOWN, World, specs_of

STATIC: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")


@settings(max_examples=400, deadline=None)
@given(specs(), acts)
def test_after_each_step_of_any_play_the_laws_hold(spec: SupervisorSpec, script: list[Act]) -> None:
    """No twin, no orphan, no attempt beyond the window, order of starts and stops, nobody left behind."""
    played(spec, script)


@settings(max_examples=150, deadline=None)
@given(specs(GROUP_STRATEGIES), acts)
def test_the_laws_hold_where_children_share_their_fate(spec: SupervisorSpec, script: list[Act]) -> None:
    """The same for the strategies in which most can go wrong."""
    played(spec, script)


@settings(max_examples=60, deadline=None)
@given(specs(), acts)
def test_the_same_events_give_the_same_effects(spec: SupervisorSpec, script: list[Act]) -> None:
    """No clock, no chance: the core is a function."""
    assert played(spec, script).world.log == played(spec, script).world.log


@settings(max_examples=150, deadline=None)
@given(specs(), acts)
def test_every_call_is_answered_once_and_none_is_forgotten(spec: SupervisorSpec, script: list[Act]) -> None:
    """The world refuses a second answer; when all has settled nobody waits."""
    world = played(spec, script).world
    world.settle()
    assert set(world.answers) == set(range(1, world.calls + 1))


@settings(max_examples=250, deadline=None)
@given(specs(), acts)
def test_when_all_has_settled_no_child_is_missing(spec: SupervisorSpec, script: list[Act]) -> None:
    """Each runs, or was terminated, or ended well, or said `ignore`; none is on its way for ever."""
    play = played(spec, script)
    play.world.settle()
    if play.world.left is None:
        waiting = {slot.key for slot in play.world.state.slots.values() if slot.status != "running"}
        assert {play.world.state.slots[key].status for key in waiting} <= {"stopped"}
        assert waiting <= play.excused


@settings(max_examples=100, deadline=None)
@given(specs(STATIC), acts, st.booleans())
def test_a_stop_ends_every_child_in_reverse_and_leaves_once(
    spec: SupervisorSpec, script: list[Act], settled: bool
) -> None:
    """The stops run against the start order; the last effect is to leave, with nobody alive."""
    play = played(spec, script)
    if settled:
        play.world.settle()
    order = [*play.world.state.slots]
    stopped = stop(play)
    assert stopped == sorted(stopped, key=order.index, reverse=True)
    assert not play.world.living
    assert len(play.world.seen(m.Leave)) == 1
    assert isinstance([effect for effect in play.world.log if not isinstance(effect, m.Reply)][-1], m.Leave)


@settings(max_examples=60, deadline=None)
@given(specs(("simple_one_for_one", "dynamic")), acts)
def test_children_on_demand_are_all_asked_to_stop_at_once(spec: SupervisorSpec, script: list[Act]) -> None:
    """In parallel: none waits for another."""
    play = played(spec, script)
    asked = {stop.id for stop in play.world.open_stops}
    alive = [slot.key for slot in play.world.state.slots.values() if slot.alive]
    effects = play.world.send(m.Stop(SHUTDOWN))
    stops = [effect.id for effect in effects if isinstance(effect, m.StopChild)]
    assert stops == [key for key in alive if key not in asked]
    play.world.settle()
    assert (len(play.world.seen(m.Leave)), play.world.living) == (1, {})


def view(world: World) -> tuple[object, ...]:
    """What matters of a supervisor to those outside."""
    slots = [
        (slot.key, slot.spec, slot.status, slot.alive, slot.child, slot.restarts, slot.tries, slot.last_exit)
        for slot in world.state.slots.values()
    ]
    return slots, world.state.stamps, world.state.keys, world.state.instances, world.left


@settings(max_examples=150, deadline=None)
@given(specs(), acts)
def test_a_second_life_that_finds_all_alive_changes_nothing(spec: SupervisorSpec, script: list[Act]) -> None:
    """Remember, begin again, find every living child: nothing is started or stopped, and all is as it was."""
    world = played(spec, script).world
    world.settle()
    again = world.next_life()
    if world.left is None:
        assert again.log == [m.Ready()]
    assert view(again) == view(world)


@settings(max_examples=250, deadline=None)
@given(specs(), acts)
def test_a_second_life_ends_where_the_first_would_have(spec: SupervisorSpec, script: list[Act]) -> None:
    """Whatever was under way, restarts of one or of several, init or stop: it comes to the same children and counts."""
    world = played(spec, script).world
    if world.state.current is not None or world.state.waiting:
        return  # a call that was being served is undone: see test_adoption
    if len(world.state.deferred) + len(world.open_retries) > 1:
        return  # which of them comes first is not remembered
    again = world.next_life()
    Play(again).check(again.log, born=True)
    for life in (world, again):
        life.settle()
    running = [[slot.key for slot in life.state.slots.values() if slot.status == "running"] for life in (world, again)]
    assert running[0] == running[1]
    assert world.state.stamps == again.state.stamps
    assert world.left == again.left


@settings(max_examples=150, deadline=None)
@given(specs(), acts, acts, st.integers(0, 30))
def test_the_laws_hold_through_a_second_life_in_which_some_are_lost(
    spec: SupervisorSpec, script: list[Act], more: list[Act], dead: int
) -> None:
    """Also what the first life was in the middle of, and the restarts that it made, count."""
    first = played(spec, script)
    gone = [key for key in list(first.world.living) if dead % 3 == 0 or key == str(dead)]
    again = Play(first.world.next_life(*gone))
    again.check(again.world.log, born=True)
    for act in more:
        again.act(act)
    again.world.settle()
    assert set(again.world.answers) == set(range(1, again.world.calls + 1))


@given(st.permutations("abcd"))
def test_children_start_in_order_each_after_the_one_before_is_up(ids: list[str]) -> None:
    """At no time are two first starts open."""
    play = begun(SupervisorSpec(children=specs_of("".join(ids))))
    while play.world.open_starts:
        assert len(play.world.open_starts) == 1
        play.world.start_succeeds()
    assert play.world.started() == "".join(ids)
    assert isinstance(play.world.log[-1], m.Ready)


@given(st.permutations("abcd"), st.integers(0, 3))
def test_an_init_that_fails_stops_what_was_started_in_reverse(ids: list[str], failing: int) -> None:
    """Roll-back, then leave with the child's id and reason."""
    world = begun(SupervisorSpec(children=specs_of("".join(ids)))).world
    for _ in range(failing):
        world.start_succeeds()
    world.start_fails()
    world.settle()
    assert world.stopped() == "".join(ids[:failing][::-1])
    assert world.left is not None
    assert world.left.error.id == ids[failing]  # type: ignore[union-attr]
