"""Laws of links and monitors: whatever is asked, and however signals cross, these hold once all have arrived."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisors import signals as sig
from supervisors.exits import NORMAL
from tests.unit.supervisors.links.world import BOOM, World, address

NAMES = "abcd"
Act = tuple[str, str, str, int]

acts = st.lists(
    st.tuples(
        st.sampled_from(["link", "link", "unlink", "monitor", "demonitor", "trap", "end", "vanish", "kill", "deliver"]),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.integers(0, 20),
    ),
    max_size=60,
)
quarrels = st.lists(
    st.tuples(st.sampled_from(["link", "unlink", "deliver"]), st.sampled_from(["ab", "ba"]), st.integers(0, 1)),
    max_size=14,
)
peaceful = acts.map(lambda script: [act for act in script if act[0] not in ("end", "vanish", "kill")])


def play(world: World, act: Act) -> None:
    """One thing that may happen, if it can happen now."""
    what, a, b, number = act
    happen: dict[str, Callable[[], object]] = {
        "link": lambda: world.link(a, b),
        "unlink": lambda: world.unlink(a, b),
        "monitor": lambda: world.monitor(a, b),
        "end": lambda: world.end(a, (NORMAL, BOOM)[number % 2]),
        "vanish": lambda: world.vanish(a),
        "kill": lambda: world.take(a, sig.Tell(address(b), sig.ExitSignal(kill=True))),
        "trap": lambda: setattr(world.states[a], "trap_exit", bool(number % 2)),
    }
    if what == "deliver":
        world.deliver(number)
    elif what == "demonitor":
        for ref in [ref for ref in world.refs if ref.watcher.name == a][:1]:
            world.take(a, sig.StopMonitor(ref))
    elif world.alive(a):
        happen[what]()


def played(script: list[Act]) -> World:
    """A world in which all of it has happened, and all that followed from it."""
    world = World(NAMES)
    for act in script:
        play(world, act)
    world.settle()
    return world


@given(acts)
def test_links_are_symmetric_and_never_with_the_dead(script: list[Act]) -> None:
    """Also when both sides link and unlink at the same time."""
    world = played(script)
    for a, b in permutations(NAMES, 2):
        if world.alive(a):
            assert world.linked(a, b) == (world.alive(b) and world.linked(b, a))


@settings(max_examples=1000)
@given(quarrels)
def test_two_that_link_and_unlink_as_they_like_agree_in_the_end(script: list[tuple[str, str, int]]) -> None:
    """However their signals cross."""
    world = World("ab")
    for what, way, number in script:
        play(world, (what, way[0], way[1], number))
    world.settle()
    assert world.linked("a", "b") == world.linked("b", "a")


@given(peaceful)
def test_nobody_ends_of_links_alone(script: list[Act]) -> None:
    """Links, unlinks and monitors of the living have no effect on anybody."""
    world = played(script)
    assert all(world.alive(name) for name in NAMES)
    assert not world.downs


@given(acts)
def test_every_monitor_gets_exactly_one_down_and_only_of_the_dead(script: list[Act]) -> None:
    """Unless it was given up, or its watcher is gone too."""
    world = played(script)
    for ref in world.refs:
        told = [down for down in world.downs if down.ref == ref]
        given_up = not any(ref in refs for refs in world.states[ref.watcher.name].monitors.values())
        assert len(told) <= 1
        if world.alive(ref.watcher.name) and ref.watcher != ref.process:
            assert (not world.alive(ref.process.name)) == bool(told) or (given_up and not told)
            assert given_up or world.alive(ref.process.name)


@given(acts)
def test_what_is_watched_is_what_there_is_something_with(script: list[Act]) -> None:
    """Nothing is forgotten, and nothing is kept: not of the dead, and not of those who were left."""
    world = played(script)
    for name in filter(world.alive, NAMES):
        state = world.states[name]
        near = {*state.links, *state.monitors, *state.watchers, *state.unlinking}
        assert state.watched == near
        assert not state.unlinking
        assert all(world.alive(peer.name) for peer in near)


@given(peaceful, st.lists(st.integers(0, 20), max_size=10), st.sampled_from(["end", "vanish"]), st.booleans())
def test_after_unlink_no_exit_of_that_link_arrives(script: list[Act], order: list[int], how: str, trap: bool) -> None:
    """Whatever was on its way between the two, a link of the other one too."""
    world = World("ab")
    for act in script:
        if {act[1], act[2]} <= {"a", "b"}:
            play(world, act)
    world.states["a"].trap_exit = trap
    world.link("a", "b")
    world.unlink("a", "b")
    for number in order:
        world.deliver(number)
    world.end("b") if how == "end" else world.vanish("b")
    world.settle()
    assert world.alive("a")
    assert not world.exits("a")


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_a_chain_of_links_ends_up_to_those_who_trap(traps: list[bool], data: st.DataObject) -> None:
    """All with the first one's reason; a trapping one reads it, and those behind it do not notice."""
    names = [str(number) for number in range(len(traps))]
    first = data.draw(st.integers(0, len(traps) - 1))
    world = World(names)
    for name, trap in zip(names, traps, strict=True):
        world.states[name].trap_exit = trap
    for a, b in pairwise(names):
        world.link(a, b)
    world.settle()
    world.end(names[first])
    world.settle()
    for way in (range(first + 1, len(names)), range(first - 1, -1, -1)):
        reached = True
        for number in way:
            state = world.states[names[number]]
            assert state.ended == (BOOM if reached and not traps[number] else None)
            assert bool(world.exits(names[number])) == (reached and traps[number])
            reached = reached and not traps[number]


@given(acts)
def test_names_are_released_once_and_before_anything_is_sent(script: list[Act]) -> None:
    """By everyone that ended and was not just gone."""
    world = played(script)
    assert sorted(world.released) == sorted(name for name in NAMES if world.states[name].ended is not None)


@given(acts)
def test_the_same_events_have_the_same_effects(script: list[Act]) -> None:
    """No clock, no chance: the core is a function."""
    assert played(script).states == played(script).states
