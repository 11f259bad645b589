"""Each session is the only child of a supervisor of its own, inside its host.

So each has its own restart intensity: a session that breaks too often is quarantined, which is its supervisor's giving
up, and no neighbour notices. A supervisor is made when its session first breaks; before that it has nothing to count.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dspex_actors.clock import Clock
from dspex_actors.errors import Quarantined
from supervisors import Child, ChildSpec, Exit, SupervisorSpec
from supervisors import messages as m
from supervisors.core import step
from supervisors.state import State, new_state

_KEY = "session"


class _InThisHost:
    """Names the kind of child; the host makes sessions itself, when a message wakes them."""


SPEC = SupervisorSpec(max_restarts=3, max_seconds=5.0, children=(ChildSpec(_KEY, start=_InThisHost),))


@dataclass(slots=True)
class _Guard:
    unit: str
    state: State
    restarts: int = 0
    gave_up: Exit | None = None


class Guards:
    """The supervisors of one host's sessions; they end with the host, or with its lease of their unit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guards: dict[str, _Guard] = {}

    def crashed(self, uid: str, unit: str, reason: Exit) -> None:
        """The session broke. Afterwards it may wake again, or is quarantined."""
        guard = self._guards.get(uid)
        if guard is None:
            guard = self._guards[uid] = _Guard(unit, new_state(SPEC))
            self._take_in(guard, m.Init())
        self._take_in(guard, m.Exited(_KEY, guard.state.slots[_KEY].instance, reason))

    def refusal(self, uid: str) -> Quarantined | None:
        """Why the session takes no turns, if it does not."""
        guard = self._guards.get(uid)
        if guard is None or guard.gave_up is None:
            return None
        return Quarantined(
            f"The session broke {SPEC.intensity + 1} times within {SPEC.max_seconds:g} s ({guard.gave_up}) and is "
            "quarantined. Its recorded turns are safe. Call POST /v1/sessions/{id}/restart to let it run again."
        )

    def status(self, uid: str, otherwise: str) -> str:
        """`quarantined`, or what the session does otherwise."""
        return otherwise if self.refusal(uid) is None else "quarantined"

    def restarts(self, uid: str) -> int:
        """How often the session was started again, by its supervisor or by somebody."""
        guard = self._guards.get(uid)
        return guard.restarts if guard else 0

    def restarted(self, uid: str, unit: str) -> None:
        """Somebody restarts the session: it is no longer quarantined, and nothing counts against it."""
        before = self.restarts(uid)
        guard = self._guards[uid] = _Guard(unit, new_state(SPEC), before + 1)
        self._take_in(guard, m.Init())

    def release(self, units: Collection[str]) -> None:
        """These units are another host's now."""
        for uid in [uid for uid, guard in self._guards.items() if guard.unit in units]:
            del self._guards[uid]

    def _take_in(self, guard: _Guard, event: m.Event) -> None:
        for effect in step(guard.state, event, self._clock.monotonic_s()):
            match effect:
                case m.Start(key, instance):
                    # The message that wakes the session is its real start; it cannot fail before that.
                    guard.restarts += isinstance(event, m.Exited)
                    self._take_in(guard, m.Started(key, instance, Child(_KEY, "", "", 0, "", "", key)))
                case m.Leave():
                    guard.gave_up = guard.state.slots[_KEY].last_exit
                case _:
                    pass
