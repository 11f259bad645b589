"""A world around the core: it plays the backend, remembers every effect, and sees that no child lives twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from supervisors import Child, ChildSpec, Exit, SupervisorSpec
from supervisors import messages as m
from supervisors.core import step
from supervisors.state import Memory, State, new_state, remember

KILLED = Exit("killed")
NORMAL = Exit("normal")
SHUTDOWN = Exit("shutdown")
BOOM = Exit("init_failed", "boom")


class Worker:
    """A class to name in specifications; nothing makes one."""


def spec_of(id_: str, **options: Any) -> ChildSpec:
    """A child specification."""
    return ChildSpec(id_, start=Worker, **options)


def specs_of(ids: str, **options: Any) -> tuple[ChildSpec, ...]:
    """One for each letter."""
    return tuple(spec_of(id_, **options) for id_ in ids)


def child_of(key: str, instance: int) -> Child:
    """What a backend would say of an instance."""
    return Child(key, f"{key}#{instance}", "test", 1000 + instance, "node", "2026-01-01T00:00:00Z", key)


@dataclass
class World:
    """Feeds events to a core and keeps what it wants done until a test lets it happen."""

    spec: SupervisorSpec
    now: float = 0.0
    memory: Memory | None = None
    log: list[m.Effect] = field(default_factory=list)
    open_starts: list[m.Start] = field(default_factory=list)
    open_stops: list[m.StopChild] = field(default_factory=list)
    open_retries: list[m.Retry] = field(default_factory=list)
    living: dict[str, int] = field(default_factory=dict)
    answers: dict[int, Any] = field(default_factory=dict)
    calls: int = 0

    def __post_init__(self) -> None:
        self.state: State = new_state(self.spec, self.memory, self.now)

    def send(self, event: m.Event) -> list[m.Effect]:
        """One event; its effects are noted and returned."""
        if isinstance(event, m.Exited | m.StartFailed | m.Ignored):
            self.open_stops = [stop for stop in self.open_stops if stop.instance != event.instance]
        effects = step(self.state, event, self.now)
        for effect in effects:
            self.log.append(effect)
            match effect:
                case m.Start(key):
                    assert key not in self.living, f"{key} lives twice"
                    assert all(key != start.id for start in self.open_starts), f"{key} starts twice"
                    self.open_starts.append(effect)
                case m.StopChild():
                    self.open_stops.append(effect)
                case m.Retry():
                    self.open_retries.append(effect)
                case m.Reply(ref, answer):
                    assert ref not in self.answers, "answered twice"
                    self.answers[ref] = answer
        return effects

    def call(self, request: m.Request) -> int:
        """Ask; the reference of the call."""
        self.calls += 1
        self.send(m.Call(self.calls, request))
        return self.calls

    def ask(self, request: m.Request) -> Any:
        """The answer to a request that is answered when everything has settled."""
        ref = self.call(request)
        self.settle()
        return self.answers[ref]

    def start_succeeds(self, at: int = 0) -> list[m.Effect]:
        """An open start succeeds, the oldest unless another is named."""
        start = self.open_starts.pop(at)
        self.living[start.id] = start.instance
        return self.send(m.Started(start.id, start.instance, child_of(start.id, start.instance)))

    def start_fails(self, at: int = 0) -> list[m.Effect]:
        """An open start fails."""
        start = self.open_starts.pop(at)
        return self.send(m.StartFailed(start.id, start.instance, BOOM))

    def start_ignores(self, at: int = 0) -> list[m.Effect]:
        """An open start says `ignore`."""
        start = self.open_starts.pop(at)
        return self.send(m.Ignored(start.id, start.instance))

    def exits(self, key: str, reason: Exit = KILLED) -> list[m.Effect]:
        """A living child ends."""
        return self.send(m.Exited(key, self.living.pop(key), reason))

    def stop_ends(self, at: int = 0) -> list[m.Effect]:
        """What was asked to stop has stopped, also if it had not started."""
        stop = self.open_stops[at]
        if self.living.get(stop.id) == stop.instance:
            return self.exits(stop.id, SHUTDOWN)
        (start,) = [start for start in self.open_starts if start.instance == stop.instance]
        self.open_starts.remove(start)
        return self.send(m.StartFailed(stop.id, stop.instance, SHUTDOWN))

    def retry_comes(self, at: int = 0) -> list[m.Effect]:
        """A retry comes round."""
        retry = self.open_retries.pop(at)
        return self.send(m.TryAgain(retry.id, retry.instance))

    def up(self) -> World:
        """Begin, and let every start succeed."""
        self.send(m.Init())
        self.settle()
        return self

    def settle(self) -> None:
        """Let everything that was asked for happen: starts succeed, stops end, retries come round."""
        for _ in range(1000):
            if self.open_starts:
                self.start_succeeds()
            elif self.open_stops:
                self.stop_ends()
            elif self.open_retries:
                self.retry_comes()
            else:
                return
        raise AssertionError("it never settles")

    def next_life(self, *dead: str, spec: SupervisorSpec | None = None, **lost: Exit) -> World:
        """The supervisor's process is gone and comes back; `dead` children went with it, `lost` ones say how."""
        world = World(spec or self.spec, self.now, remember(self.state, self.now))
        world.living = {key: instance for key, instance in self.living.items() if key not in (*dead, *lost)}
        found = {key: (instance, child_of(key, instance)) for key, instance in world.living.items()}
        world.send(m.Init(found, lost))
        return world

    @property
    def left(self) -> m.Leave | None:
        """With what the supervisor left, if it has."""
        return next((effect for effect in self.log if isinstance(effect, m.Leave)), None)

    def started(self, since: int = 0) -> str:
        """Keys of what was started, in order."""
        return "".join(effect.id for effect in self.log[since:] if isinstance(effect, m.Start))

    def stopped(self, since: int = 0) -> str:
        """Keys of what was stopped, in order."""
        return "".join(effect.id for effect in self.log[since:] if isinstance(effect, m.StopChild))

    def seen(self, kind: type[Any]) -> list[Any]:
        """All effects of a kind so far."""
        return [effect for effect in self.log if isinstance(effect, kind)]


def world_of(ids: str, *, stopped: str = "", restarts: int = 9, **options: Any) -> World:
    """A supervisor whose permanent children, one for each letter, run; those in `stopped` were terminated."""
    world = World(SupervisorSpec(max_restarts=restarts, children=specs_of(ids), **options)).up()
    for id_ in stopped:
        world.ask(m.TerminateChild(id_))
    world.log.clear()
    return world
