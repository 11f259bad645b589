"""What a supervisor knows: its children and where they stand. Plain data that only the core changes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from supervisors import messages as m
from supervisors.child import Child, ChildInfo, Counts
from supervisors.exits import Exit
from supervisors.spec import ChildSpec, SupervisorSpec

Status = Literal["starting", "running", "restarting", "stopping", "stopped"]
Phase = Literal["init", "running", "stopping", "over"]


@dataclass(slots=True)
class Slot:
    """A child's specification and where it stands.

    Attributes:
        alive: True from the `Start` of an instance until its `Exited`, `Ignored` or `StartFailed`, whatever the status.
        restarts: How often it was started again, for people.
        tries: How often it was started again since it last ran quietly, for the back-off.
        since: When it last came up.
    """

    key: str
    spec: ChildSpec
    status: Status = "stopped"
    instance: int = 0
    alive: bool = False
    child: Child | None = None
    restarts: int = 0
    last_exit: Exit | None = None
    tries: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Current:
    """The call being served: who asked, about which child, and whether `start_child` brought it."""

    ref: int
    id: str
    new: bool = False


@dataclass(slots=True)
class Group:
    """A restart of several children: `to_stop` is stopped from its end, then `to_start` is started from its front."""

    to_stop: list[str]
    to_start: deque[str]


@dataclass(slots=True)
class State:
    """A supervisor.

    Attributes:
        slots: In start order.
        to_start: What is left to do of init.
        to_stop: What is left to stop, the next one last.
        stopping: How many are being stopped at once, where they are stopped in parallel.
        group: The restart of several children that is under way. Calls, exits and retries wait for its end.
        deferred: Exits and retries that wait, with the times when they came.
    """

    spec: SupervisorSpec
    phase: Phase = "init"
    slots: dict[str, Slot] = field(default_factory=dict)
    to_start: deque[str] = field(default_factory=deque)
    to_stop: list[str] = field(default_factory=list)
    stopping: int = 0
    instances: int = 0
    keys: int = 0
    stamps: list[float] = field(default_factory=list)
    current: Current | None = None
    group: Group | None = None
    waiting: deque[m.Call] = field(default_factory=deque)
    deferred: deque[tuple[m.Exited | m.TryAgain, float]] = field(default_factory=deque)
    leave: m.Leave | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """A child in a `Memory`; `spec` is there for one that `start_child` brought."""

    key: str
    spec: ChildSpec | None
    status: Status
    instance: int
    restarts: int
    last_exit: Exit | None


@dataclass(frozen=True, slots=True)
class Memory:
    """What of a supervisor outlives its process. `ages` are those of the restarts in the window, in seconds."""

    children: tuple[Remembered, ...] = ()
    ages: tuple[float, ...] = ()
    instances: int = 0
    keys: int = 0


def remember(state: State, now: float) -> Memory:
    """What to keep for the supervisor's next life."""
    declared = set() if state.spec.is_dynamic else {child.id for child in state.spec.children}
    children = tuple(
        Remembered(
            slot.key,
            None if slot.key in declared else slot.spec,
            slot.status,
            slot.instance,
            slot.restarts,
            slot.last_exit,
        )
        for slot in state.slots.values()
    )
    return Memory(children, tuple(now - stamp for stamp in state.stamps), state.instances, state.keys)


def new_state(spec: SupervisorSpec, memory: Memory | None = None, now: float = 0.0) -> State:
    """A supervisor before its `Init`, with what its former life left.

    Children that the specification has and the memory has not are started; those that were stopped stay stopped.
    """
    state = State(spec)
    if not spec.is_dynamic:
        state.slots = {child.id: Slot(child.id, child) for child in spec.children}
    known: set[str] = set()
    for old in memory.children if memory else ():
        slot = state.slots.get(old.key)
        if slot is None and old.spec is None:
            continue  # the specification has it no longer
        if slot is None:
            assert old.spec is not None
            slot = state.slots[old.key] = Slot(old.key, old.spec)
        slot.status, slot.instance, slot.restarts, slot.last_exit = (
            old.status,
            old.instance,
            old.restarts,
            old.last_exit,
        )
        known.add(old.key)
    if memory is not None:
        state.stamps = sorted(now - age for age in memory.ages)
        state.instances, state.keys = memory.instances, memory.keys
    state.to_start = deque(key for key in state.slots if key not in known)
    return state


def start(state: State, slot: Slot, status: Status) -> list[m.Effect]:
    """Start an instance of the child; the numbers of instances are never used again."""
    state.instances += 1
    slot.instance, slot.status, slot.alive, slot.child = state.instances, status, True, None
    return [m.Start(slot.key, slot.instance, slot.spec)]


def stop_child(slot: Slot) -> list[m.Effect]:
    """Stop the instance; nothing if that is under way."""
    if slot.status == "stopping":
        return []
    slot.status = "stopping"
    return [m.StopChild(slot.key, slot.instance, slot.spec.shutdown_or_default)]


def info_of(state: State, slot: Slot) -> ChildInfo:
    """The row of a child."""
    child: Child | Literal["restarting"] | None = "restarting" if slot.status == "restarting" else slot.child
    id_ = None if state.spec.is_dynamic else slot.spec.id
    return ChildInfo(id_, child, "supervisor" if slot.spec.is_supervisor else "worker", slot.spec.modules)


def counts_of(state: State) -> Counts:
    """How many of each kind there are."""
    slots = state.slots.values()
    supervisors = sum(slot.spec.is_supervisor for slot in slots)
    active = sum(slot.child is not None and slot.status != "restarting" for slot in slots)
    specs = 1 if state.spec.strategy == "simple_one_for_one" else len(slots)
    return Counts(specs, active, supervisors, len(slots) - supervisors)
