"""A world around the core: it plays the processes, and remembers every effect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from supervisors import Child, ChildSpec, Exit, SupervisorSpec
from supervisors import messages as m
from supervisors.core import State, new_state, step


class Worker:
    """A class to name in specifications; nothing makes one."""


def spec_of(id_: str, **options: Any) -> ChildSpec:
    """A child specification."""
    return ChildSpec(id_, start=Worker, **options)


def child_of(id_: str, instance: int) -> Child:
    """What a backend would say of an instance."""
    return Child(id_, f"{id_}#{instance}", "test", 1000 + instance, "node", "2026-01-01T00:00:00Z")


@dataclass
class World:
    """Feeds events to a core and keeps what it wants done until a test lets it happen."""

    spec: SupervisorSpec
    now: float = 0.0
    log: list[m.Effect] = field(default_factory=list)
    open_starts: list[m.Start] = field(default_factory=list)
    living: dict[str, int] = field(default_factory=dict)
    answers: dict[int, Any] = field(default_factory=dict)
    calls: int = 0

    def __post_init__(self) -> None:
        self.state: State = new_state(self.spec)

    def send(self, event: m.Event) -> list[m.Effect]:
        """One event; its effects are noted and returned."""
        effects = step(self.state, event, self.now)
        self.log += effects
        for effect in effects:
            if isinstance(effect, m.Start):
                self.open_starts.append(effect)
            if isinstance(effect, m.Reply):
                assert effect.ref not in self.answers, "answered twice"
                self.answers[effect.ref] = effect.answer
        return effects

    def call(self, request: m.Request) -> int:
        """Ask; the reference of the call."""
        self.calls += 1
        self.send(m.Call(self.calls, request))
        return self.calls

    def start_succeeds(self) -> list[m.Effect]:
        """The oldest open start succeeds."""
        start = self.open_starts.pop(0)
        self.living[start.id] = start.instance
        return self.send(m.Started(start.id, start.instance, child_of(start.id, start.instance)))

    def start_fails(self) -> list[m.Effect]:
        """The oldest open start fails."""
        start = self.open_starts.pop(0)
        return self.send(m.StartFailed(start.id, start.instance, Exit("init_failed", "boom")))

    def exits(self, id_: str, reason: Exit = Exit("killed")) -> list[m.Effect]:  # noqa: B008
        """A living child ends."""
        return self.send(m.Exited(id_, self.living.pop(id_), reason))

    def up(self) -> World:
        """Begin, and let every start succeed."""
        self.send(m.Init())
        while self.open_starts:
            self.start_succeeds()
        return self

    def settle(self) -> None:
        """Let everything that was asked for happen: starts succeed, stops end, retries come round."""
        done = 0
        while self.open_starts or done < len(self.log):
            if self.open_starts:
                self.start_succeeds()
                continue
            effect = self.log[done]
            done += 1
            if isinstance(effect, m.StopChild) and self.living.get(effect.id) == effect.instance:
                self.exits(effect.id, Exit("shutdown"))
            if isinstance(effect, m.Retry):
                self.send(m.TryAgain(effect.id, effect.instance))

    def seen(self, kind: type[Any]) -> list[Any]:
        """All effects of a kind so far."""
        return [effect for effect in self.log if isinstance(effect, kind)]
