"""What happens to children, as values: for people, logs and tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from supervisors import messages as m
from supervisors.clock import Clock
from supervisors.exits import Exit
from supervisors.state import State

HappeningKind = Literal["started", "restarted", "ignored", "exited", "start_failed", "adopted", "escalated"]


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to a child, or (`escalated`) to the supervisor itself.

    Args:
        kind: `started`, `restarted` (started again), `adopted` (taken over alive by a supervisor that came back),
            `ignored`, `exited`, `start_failed`, or `escalated` (too many restarts: the supervisor gives up).
        id: The child's id.
        key: Names it within its supervisor, also where ids need not differ.
        name: Its incarnation, where it has one.
        reason: Why it ended, where it did.
        at: RFC 3339.
    """

    kind: HappeningKind
    id: str
    key: str
    name: str | None
    reason: Exit | None
    at: str


def happening_of(state: State, event: m.Event, clock: Clock) -> Happening | None:
    """What an event will be to those who watch; to be asked before the core takes it in."""
    if not isinstance(event, m.Started | m.Ignored | m.StartFailed | m.Exited):
        return None
    slot = state.slots.get(event.id)
    if slot is None or slot.instance != event.instance:
        return None
    name = slot.child.name if slot.child else None
    reason: Exit | None = None
    kind: HappeningKind
    match event:
        case m.Started():
            kind, name = ("restarted" if slot.restarts else "started"), event.child.name
        case m.Ignored():
            kind = "ignored"
        case m.StartFailed():
            kind, reason = "start_failed", event.reason
        case m.Exited():
            kind, reason = "exited", event.reason
    return Happening(kind, slot.spec.id, slot.key, name, reason, clock.now_rfc3339())
