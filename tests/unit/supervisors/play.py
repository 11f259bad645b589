"""Random plays: what may happen to a supervisor, in any interleaving, and what must hold after each step of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from supervisors import Backoff, Child, ChildSpec, Exit, SupervisorSpec
from supervisors import messages as m
from supervisors.exits import EXIT_KINDS
from supervisors.spec import DYNAMIC_STRATEGIES, GROUP_STRATEGIES, STRATEGIES, AutoShutdown, Strategy
from supervisors.state import Group
from tests.unit.supervisors.world import SHUTDOWN, World, spec_of

IDS = "abcde"
HAPPENS = ("ok",) * 6 + ("fail", "ignore") + ("exit",) * 5 + ("stopped",) * 4 + ("retry",) * 3
ASKED = ("start", "terminate", "restart", "delete", "which", "count")

Act = tuple[str, int, int, int]  # what, which of those it can happen to, which variant of it, quarters of a second

acts = st.lists(
    st.tuples(
        st.sampled_from([*HAPPENS, *ASKED]), st.integers(0, 30), st.integers(0, len(EXIT_KINDS) - 1), st.integers(0, 6)
    ),
    max_size=50,
)
"""Times are whole quarters, so that sums and differences of them are exact."""


@st.composite
def children(draw: st.DrawFn, id_: str, auto_shutdown: str = "never") -> ChildSpec:
    """A child of any restart type; a significant one now and then, where that is allowed."""
    restart = draw(st.sampled_from(["permanent", "permanent", "transient", "temporary"]))
    significant = auto_shutdown != "never" and restart != "permanent" and draw(st.booleans())
    backoff = None if restart == "temporary" else draw(st.sampled_from([None, None, Backoff(1.0, 4.0)]))
    return spec_of(id_, restart=restart, significant=significant, backoff=backoff)


@st.composite
def specs(draw: st.DrawFn, strategies: tuple[Strategy, ...] = STRATEGIES) -> SupervisorSpec:
    """A supervisor of any strategy."""
    strategy = draw(st.sampled_from(strategies))
    options: dict[str, Any] = {"max_restarts": draw(st.integers(0, 4)), "max_seconds": draw(st.sampled_from([0.5, 5]))}
    if strategy == "simple_one_for_one":
        return SupervisorSpec(strategy=strategy, children=(draw(children("t")),), **options)
    if strategy == "dynamic":
        return SupervisorSpec(strategy=strategy, max_children=draw(st.sampled_from([None, 3])), **options)
    auto_shutdown: AutoShutdown = draw(st.sampled_from(["never", "never", "any_significant", "all_significant"]))
    ids = draw(st.integers(0, 4))
    own = tuple(draw(children(id_, auto_shutdown)) for id_ in IDS[:ids])
    return SupervisorSpec(strategy=strategy, children=own, auto_shutdown=auto_shutdown, **options)


@dataclass
class Play:
    """A world, what has happened in it, and the laws that hold after each step."""

    world: World
    attempts: list[float] = field(default_factory=list)
    excused: set[str] = field(default_factory=set)
    started: list[Child] = field(default_factory=list)
    group: Group | None = None
    places: list[int] = field(default_factory=list)
    over: bool = False

    def act(self, act: Act) -> None:
        """One thing that may happen, if it can happen now."""
        what, which, variant, quarters = act
        self.world.now += quarters / 4
        mark = len(self.world.log)
        if what in ASKED:
            self._ask(what, which, variant)
        else:
            self._happen(what, which, variant)
        self.check(self.world.log[mark:])

    def _ask(self, what: str, which: int, variant: int) -> None:
        id_, strategy = IDS[which % len(IDS)], self.world.spec.strategy
        child: str | Child = id_
        if strategy in DYNAMIC_STRATEGIES and self.started:
            child = self.started[which % len(self.started)]
        restart = ("permanent", "transient", "temporary")[variant % 3]
        requests: dict[str, Callable[[], m.Request]] = {
            "start": lambda: m.StartChild(spec_of(id_, restart=restart)),
            "terminate": lambda: m.TerminateChild(child),
            "restart": lambda: m.RestartChild(id_),
            "delete": lambda: m.DeleteChild(id_),
            "which": m.WhichChildren,
            "count": m.CountChildren,
        }
        if what == "start" and strategy == "simple_one_for_one":
            requests["start"] = lambda: m.StartFromTemplate((which,))
        if what in ("terminate", "restart"):
            # Who terminates a child that is restarting also leaves those of its group that come after it stopped.
            self.excused |= set(IDS) if strategy in GROUP_STRATEGIES else {id_}
        self.world.call(requests[what]())

    def _happen(self, what: str, which: int, variant: int) -> None:
        world = self.world
        if what in ("ok", "fail", "ignore") and world.open_starts:
            at = which % len(world.open_starts)
            if what == "ignore":
                self.excused.add(world.open_starts[at].id)
            {"ok": world.start_succeeds, "fail": world.start_fails, "ignore": world.start_ignores}[what](at)
        elif what == "exit" and world.living:
            key, kind = list(world.living)[which % len(world.living)], EXIT_KINDS[variant]
            if kind in ("normal", "shutdown") and world.state.slots[key].spec.restart == "transient":
                self.excused.add(key)
            world.exits(key, Exit(kind))
        elif what == "stopped" and world.open_stops:
            world.stop_ends(which % len(world.open_stops))
        elif what == "retry" and world.open_retries:
            world.retry_comes(which % len(world.open_retries))

    def check(self, effects: list[m.Effect], *, born: bool = False) -> None:
        """The laws of one step."""
        self._note(effects, born)
        self._living_are_known()
        self._window_is_kept()
        self._order_is_kept(effects)
        if self.world.left:
            assert (self.world.living, self.world.open_starts) == ({}, [])

    def _note(self, effects: list[m.Effect], born: bool) -> None:
        state = self.world.state
        self.started += [slot.child for slot in state.slots.values() if slot.child and slot.child not in self.started]
        begun = state.group is not None and state.group is not self.group
        if begun or state.group is None:
            self.places = []
        self.group = state.group
        if born:
            # The one beyond the intensity, if it is there, is not made.
            self.attempts = state.stamps[: state.spec.intensity]
            return
        self.attempts += [self.world.now] * begun
        if state.spec.strategy not in GROUP_STRATEGIES:
            starts = [state.slots[effect.id] for effect in effects if isinstance(effect, m.Start)]
            self.attempts += [self.world.now for slot in starts if slot.status == "restarting"]

    def _living_are_known(self) -> None:
        world = self.world
        processes = world.living | {start.id: start.instance for start in world.open_starts}
        slots = world.state.slots.values()
        assert {slot.key: slot.instance for slot in slots if slot.alive} == processes
        waiting = {event.id for event in world.state.deferred}
        assert all(slot.alive or slot.key in waiting for slot in slots if slot.status in ("starting", "running"))
        assert not any(slot.alive for slot in slots if slot.status == "stopped")
        assert all(slot.alive for slot in slots if slot.status == "stopping")

    def _window_is_kept(self) -> None:
        spec, now = self.world.spec, self.world.now
        made = sum(at >= now - spec.max_seconds for at in self.attempts)
        assert made <= spec.intensity
        left = self.world.left
        if left and left.gave_up and not self.over:
            assert made == spec.intensity  # the next one would have been too many
        self.over = left is not None or self.world.state.phase == "stopping"

    def _order_is_kept(self, effects: list[m.Effect]) -> None:
        """Of init, of a group's restart (all stops, then all starts), and of the supervisor's own stop."""
        state = self.world.state
        keys = list(state.slots)
        if state.group is not None:
            assert len(self.world.open_starts) + len(self.world.open_stops) <= 1
            order = [key for key in self.group_order() if key in keys]
            for effect in effects:
                if isinstance(effect, m.StopChild):
                    self.places.append(-order.index(effect.id) - 1)
                if isinstance(effect, m.Start):
                    self.places.append(order.index(effect.id))
            assert self.places == sorted(self.places)
        if state.phase == "init":
            assert len(self.world.open_starts) <= 1

    def group_order(self) -> list[str]:
        """The children in start order: a group's restart keeps it."""
        return list(self.world.state.slots)


def begun(spec: SupervisorSpec) -> Play:
    """A supervisor whose init has begun."""
    play = Play(World(spec))
    play.world.send(m.Init())
    play.check(play.world.log)
    return play


def played(spec: SupervisorSpec, script: list[Act]) -> Play:
    """All of it has happened."""
    play = begun(spec)
    for act in script:
        play.act(act)
    return play


def stop(play: Play) -> list[str]:
    """Stop the supervisor and let that happen; the keys of those that were stopped, in order."""
    mark = len(play.world.log)
    play.world.send(m.Stop(SHUTDOWN))
    play.world.settle()
    return [effect.id for effect in play.world.log[mark:] if isinstance(effect, m.StopChild)]
