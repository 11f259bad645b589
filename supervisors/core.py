"""The heart: OTP's supervisor as `step(state, event, now) -> effects`.

Pure: no I/O, no clock, no randomness, no Ray. It changes only the state that it is given; the same events with the
same stamps give the same effects. Read it from the top: the table, `step`, then one function for each event.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from supervisors import messages as m
from supervisors.child import Child, ChildInfo, Counts
from supervisors.errors import (
    AlreadyPresent,
    AlreadyStarted,
    ChildNotFound,
    FailedToStartChild,
    Restarting,
    Running,
    StartError,
    SupervisorError,
    SupervisorStopping,
)
from supervisors.exits import SHUTDOWN, Exit
from supervisors.intensity import add_restart, exceeded
from supervisors.spec import ChildSpec, RestartType, SupervisorSpec

Status = Literal["starting", "running", "restarting", "stopping", "stopped"]
Phase = Literal["init", "running", "stopping", "over"]


def after_exit(restart: RestartType, reason: Exit) -> Literal["restart", "drop"]:
    """What becomes of a child that ended by itself: a row for each restart type and exit reason."""
    match restart, reason.kind:
        case "permanent", _:
            return "restart"
        case _:
            return "drop"


@dataclass(slots=True)
class Slot:
    """A child's specification and where it stands.

    `alive` is true from the `Start` of an instance until its `Exited` or `StartFailed`, whatever the status.
    """

    spec: ChildSpec
    status: Status = "stopped"
    instance: int = 0
    alive: bool = False
    child: Child | None = None
    restarts: int = 0
    last_exit: Exit | None = None


@dataclass(frozen=True, slots=True)
class Current:
    """The call being served: who asked, about which child, and whether `start_child` brought it."""

    ref: int
    id: str
    new: bool = False


@dataclass(slots=True)
class State:
    """A supervisor. `slots` is in start order, `to_start` and `to_stop` are what is left to do of init and stop."""

    spec: SupervisorSpec
    phase: Phase = "init"
    slots: dict[str, Slot] = field(default_factory=dict)
    to_start: deque[str] = field(default_factory=deque)
    to_stop: list[str] = field(default_factory=list)
    instances: int = 0
    stamps: list[float] = field(default_factory=list)
    current: Current | None = None
    waiting: deque[m.Call] = field(default_factory=deque)
    deferred: list[tuple[m.Exited, float]] = field(default_factory=list)
    leave: m.Leave | None = None


def new_state(spec: SupervisorSpec) -> State:
    """A supervisor before its `Init`."""
    slots = {child.id: Slot(child) for child in spec.children}
    return State(spec, slots=slots, to_start=deque(slots))


def step(state: State, event: m.Event, now: float) -> list[m.Effect]:
    """Take one event in.

    Args:
        state: Changed in place.
        event: What happened.
        now: When it was noticed, monotonic seconds.

    Returns:
        What to do, in this order.
    """
    match event:
        case m.Init():
            return _init_next(state)
        case m.Call():
            return _call(state, event)
        case m.Stop(reason):
            return _stop(state, m.Leave(reason))
        case m.Started():
            return _started(state, event)
        case m.StartFailed():
            return _start_failed(state, event)
        case m.Exited():
            return _exited(state, event, now)
        case m.TryAgain():
            return _try_again(state, event, now)


def _start(state: State, slot: Slot, status: Status) -> list[m.Effect]:
    state.instances += 1
    slot.instance, slot.status, slot.alive, slot.child = state.instances, status, True, None
    return [m.Start(slot.spec.id, slot.instance, slot.spec)]


def _mine(state: State, event: m.Started | m.StartFailed | m.Exited | m.TryAgain) -> Slot | None:
    slot = state.slots.get(event.id)
    return slot if slot and slot.instance == event.instance else None


# Init


def _init_next(state: State) -> list[m.Effect]:
    """Children start one after the other; when the last one has, what died meanwhile is dealt with, then calls."""
    if state.to_start:
        return _start(state, state.slots[state.to_start.popleft()], "starting")
    state.phase = "running"
    effects: list[m.Effect] = [m.Ready()]
    deferred, state.deferred = state.deferred, []
    for event, at in deferred:
        effects += _exited(state, event, at)
    return effects + _serve(state)


# What the backend reports


def _started(state: State, event: m.Started) -> list[m.Effect]:
    slot = _mine(state, event)
    if slot is None or slot.status == "stopping":
        return []
    slot.status, slot.child = "running", event.child
    if state.phase == "init":
        return _init_next(state)
    return _answer(state, event.id, event.child)


def _start_failed(state: State, event: m.StartFailed) -> list[m.Effect]:
    slot = _mine(state, event)
    if slot is None:
        return []
    slot.alive, slot.last_exit = False, event.reason
    match slot.status:
        case _ if slot.status == "stopping" or state.phase == "stopping":
            return _stopped(state, slot)
        case "restarting":
            return [m.Retry(event.id, event.instance)]
        case _ if state.phase == "init":
            return _stop(state, m.Leave(SHUTDOWN, FailedToStartChild(event.id, event.reason)))
        case _:
            return _call_failed(state, slot, event.reason)


def _exited(state: State, event: m.Exited, now: float) -> list[m.Effect]:
    slot = _mine(state, event)
    if slot is None:
        return []
    slot.alive, slot.child, slot.last_exit = False, None, event.reason
    if state.phase == "init":
        state.deferred.append((event, now))
        return []
    if slot.status == "stopping" or state.phase != "running":
        return _stopped(state, slot)
    if after_exit(slot.spec.restart, event.reason) == "restart":
        if slot.spec.restart_delay_s > 0:
            slot.status = "restarting"
            return [m.Retry(event.id, event.instance, slot.spec.restart_delay_s)]
        return _restart(state, slot, now)
    del state.slots[event.id]
    return []


def _try_again(state: State, event: m.TryAgain, now: float) -> list[m.Effect]:
    slot = _mine(state, event)
    if slot is None or slot.status != "restarting" or state.phase != "running":
        return []
    return _restart(state, slot, now)


def _restart(state: State, slot: Slot, now: float) -> list[m.Effect]:
    """Each attempt takes a stamp, a repeated one too."""
    state.stamps = add_restart(state.stamps, now, state.spec.max_seconds)
    if exceeded(state.stamps, state.spec.max_restarts):
        slot.status = "stopped"
        why = f"child {slot.spec.id!r} ended ({slot.last_exit}) once too often"
        return _stop(state, m.Leave(Exit("shutdown", why), gave_up=True))
    slot.restarts += 1
    return _start(state, slot, "restarting")


# Stopping


def _stop(state: State, leave: m.Leave) -> list[m.Effect]:
    """Refuse who waits, then stop the children in reverse; a second request to stop changes nothing."""
    if state.phase in ("stopping", "over"):
        return []
    state.phase, state.leave, state.to_stop = "stopping", leave, list(state.slots)
    refs = [state.current.ref] if state.current else []
    refs += [call.ref for call in state.waiting]
    state.current = None
    state.waiting.clear()
    return [m.Reply(ref, SupervisorStopping()) for ref in refs] + _stop_next(state)


def _stop_next(state: State) -> list[m.Effect]:
    while state.to_stop:
        slot = state.slots.get(state.to_stop[-1])
        if slot and slot.alive:
            return _stop_child(slot)
        state.to_stop.pop()
    state.phase = "over"
    return [state.leave] if state.leave else []


def _stop_child(slot: Slot) -> list[m.Effect]:
    if slot.status == "stopping":
        return []
    slot.status = "stopping"
    return [m.StopChild(slot.spec.id, slot.instance, slot.spec.shutdown_or_default)]


def _stopped(state: State, slot: Slot) -> list[m.Effect]:
    slot.status, slot.child = "stopped", None
    if slot.spec.restart == "temporary":
        del state.slots[slot.spec.id]
    if state.phase == "stopping":
        return _stop_next(state)
    return _answer(state, slot.spec.id, None)


# Calls: reads are answered from the state at once, the others one after the other


def _call(state: State, call: m.Call) -> list[m.Effect]:
    match call.request:
        case _ if state.phase in ("stopping", "over"):
            return [m.Reply(call.ref, SupervisorStopping())]
        case m.WhichChildren():
            return [m.Reply(call.ref, [_info(slot) for slot in reversed(state.slots.values())])]
        case m.CountChildren():
            return [m.Reply(call.ref, _count(state))]
        case _:
            state.waiting.append(call)
            return _serve(state)


def _serve(state: State) -> list[m.Effect]:
    effects: list[m.Effect] = []
    while state.waiting and state.current is None and state.phase == "running":
        effects += _begin(state, state.waiting.popleft())
    return effects


def _begin(state: State, call: m.Call) -> list[m.Effect]:
    match call.request:
        case m.StartChild(spec):
            return _start_child(state, call.ref, spec)
        case m.RestartChild(id_):
            return _restart_child(state, call.ref, id_)
        case m.TerminateChild(id_):
            return _terminate_child(state, call.ref, id_)
        case m.DeleteChild(id_):
            return _delete_child(state, call.ref, id_)
        case _:
            return []


def _start_child(state: State, ref: int, spec: ChildSpec) -> list[m.Effect]:
    slot = state.slots.get(spec.id)
    if slot is not None:
        running = slot.status == "running"
        return [m.Reply(ref, AlreadyStarted(spec.id, slot.child) if running else AlreadyPresent(spec.id))]
    slot = state.slots[spec.id] = Slot(spec)
    state.current = Current(ref, spec.id, new=True)
    return _start(state, slot, "starting")


def _restart_child(state: State, ref: int, id_: str) -> list[m.Effect]:
    slot = state.slots.get(id_)
    if slot is None or slot.status != "stopped":
        return [m.Reply(ref, _not_stopped(id_, slot))]
    state.current = Current(ref, id_)
    return _start(state, slot, "starting")


def _terminate_child(state: State, ref: int, id_: str) -> list[m.Effect]:
    slot = state.slots.get(id_)
    if slot is None:
        return [m.Reply(ref, ChildNotFound(id_))]
    if not slot.alive:
        slot.status = "stopped"
        return [m.Reply(ref, None)]
    state.current = Current(ref, id_)
    return _stop_child(slot)


def _delete_child(state: State, ref: int, id_: str) -> list[m.Effect]:
    slot = state.slots.get(id_)
    if slot is None or slot.status != "stopped":
        return [m.Reply(ref, _not_stopped(id_, slot))]
    del state.slots[id_]
    return [m.Reply(ref, None)]


def _not_stopped(id_: str, slot: Slot | None) -> SupervisorError:
    if slot is None:
        return ChildNotFound(id_)
    return Restarting(id_) if slot.status == "restarting" else Running(id_)


def _call_failed(state: State, slot: Slot, reason: Exit) -> list[m.Effect]:
    """`start_child` that fails leaves nothing; `restart_child` that fails leaves the specification as it was."""
    slot.status = "stopped"
    if state.current is not None and state.current.new:
        del state.slots[slot.spec.id]
    return _answer(state, slot.spec.id, StartError(slot.spec.id, reason))


def _answer(state: State, id_: str, answer: Any) -> list[m.Effect]:
    if state.current is None or state.current.id != id_:
        return []
    ref, state.current = state.current.ref, None
    return [m.Reply(ref, answer), *_serve(state)]


def _info(slot: Slot) -> ChildInfo:
    child: Child | Literal["restarting"] | None = "restarting" if slot.status == "restarting" else slot.child
    return ChildInfo(slot.spec.id, child, slot.spec.type, slot.spec.modules)


def _count(state: State) -> Counts:
    slots = state.slots.values()
    supervisors = sum(slot.spec.type == "supervisor" for slot in slots)
    active = sum(slot.child is not None for slot in slots)
    return Counts(len(slots), active, supervisors, len(slots) - supervisors)
