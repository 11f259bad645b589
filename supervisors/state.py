"""What a supervisor knows: its children and where they stand. Plain data that only the core changes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
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
        name: That of its last incarnation, by which others know the child, also while it is restarting.
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
    name: str = ""


NOBODY = 0
"""The `ref` of a call whose caller went with the supervisor's former life."""


@dataclass(frozen=True, slots=True)
class Current:
    """The call being served: who asked, about which child, and whether `start_child` brought it."""

    ref: int
    id: str
    new: bool = False


@dataclass(slots=True)
class Group:
    """A restart of several children: `to_stop` is stopped from its end, then `to_start` is started from its front.

    `starting` is the one whose start is under way.
    """

    to_stop: list[str]
    to_start: deque[str]
    starting: str | None = None


@dataclass(slots=True)
class State:
    """A supervisor.

    Attributes:
        now: The stamp of the event that is being taken in.
        begun: Whether `Init` has come.
        slots: In start order.
        to_start: What is left to do of init.
        to_stop: What is left to stop, the next one last.
        stopping: How many are being stopped at once, where they are stopped in parallel.
        group: The restart of several children that is under way. Calls, exits and retries wait for its end.
        deferred: Exits and retries that wait.
        leave: With what it stops or has stopped.
    """

    spec: SupervisorSpec
    now: float = 0.0
    begun: bool = False
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
    deferred: deque[m.Exited | m.TryAgain] = field(default_factory=deque)
    leave: m.Leave | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """A child in a `Memory`; `spec` is there if it is not the supervisor's, `up_s` is how long it has run."""

    key: str
    spec: ChildSpec | None
    status: Status
    instance: int
    restarts: int
    last_exit: Exit | None
    alive: bool = True
    tries: int = 0
    up_s: float = 0.0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """What of a supervisor outlives its process.

    Attributes:
        children: In start order, without those that init has not come to.
        gone: Ids that the specification has and the supervisor has no longer: they ended for good, or were deleted.
        ages: Those of the restarts in the window, in seconds.
        current: The call that was being served; nobody waits for its answer any more.
        group: What was left to stop, from its end, and to start, of a restart of several children.
        leave: With what it was stopping.
    """

    children: tuple[Remembered, ...] = ()
    gone: tuple[str, ...] = ()
    ages: tuple[float, ...] = ()
    instances: int = 0
    keys: int = 0
    current: Current | None = None
    group: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    leave: m.Leave | None = None


def remember(state: State, now: float) -> Memory:
    """What to keep for the supervisor's next life, which goes on exactly where this one ends."""
    declared = _declared(state.spec)
    to_come = set(state.to_start)
    return Memory(
        children=tuple(
            _remembered(slot, now, declared=declared.get(key) is slot.spec)
            for key, slot in state.slots.items()
            if key not in to_come
        ),
        gone=tuple(id_ for id_ in declared if id_ not in state.slots),
        ages=tuple(now - stamp for stamp in state.stamps),
        instances=state.instances,
        keys=state.keys,
        current=state.current,
        group=(tuple(state.group.to_stop), tuple(state.group.to_start)) if state.group else None,
        leave=state.leave,
    )


def _declared(spec: SupervisorSpec) -> dict[str, ChildSpec]:
    return {} if spec.is_dynamic else {child.id: child for child in spec.children}


def _remembered(slot: Slot, now: float, *, declared: bool) -> Remembered:
    return Remembered(
        slot.key,
        None if declared else slot.spec,
        slot.status,
        slot.instance,
        slot.restarts,
        slot.last_exit,
        slot.alive,
        slot.tries,
        now - slot.since,
        slot.name,
    )


def new_state(spec: SupervisorSpec, memory: Memory | None = None, now: float = 0.0) -> State:
    """A supervisor before its `Init`, with what its former life left.

    Children that the specification has and the memory knows nothing of are started, in the last places; those that
    were stopped stay stopped.
    """
    memory = memory or Memory()
    state = State(
        spec, now=now, instances=memory.instances, keys=memory.keys, current=memory.current, leave=memory.leave
    )
    declared = _declared(spec)
    for old in memory.children:
        child = old.spec or declared.get(old.key)
        if child is not None:  # else the specification has it no longer
            state.slots[old.key] = _recalled(old, child, now)
    known = {*state.slots, *memory.gone}
    state.to_start = deque(key for key in declared if key not in known)
    state.slots |= {key: Slot(key, declared[key]) for key in state.to_start}
    state.stamps = sorted(now - age for age in memory.ages)
    if memory.group is not None:
        to_stop, to_start = ([key for key in keys if key in state.slots] for keys in memory.group)
        state.group = Group(to_stop, deque(to_start))
    return state


def _recalled(old: Remembered, spec: ChildSpec, now: float) -> Slot:
    return Slot(
        old.key,
        spec,
        old.status,
        old.instance,
        old.alive,
        restarts=old.restarts,
        last_exit=old.last_exit,
        tries=old.tries,
        since=now - old.up_s,
        name=old.name,
    )


def start(state: State, slot: Slot, status: Status) -> list[m.Effect]:
    """Start an instance of the child; the numbers of instances are never used again."""
    state.instances += 1
    slot.instance, slot.status, slot.alive, slot.child = state.instances, status, True, None
    return [m.Start(slot.key, slot.instance, slot.spec)]


def came_up(state: State, slot: Slot, child: Child) -> None:
    """It runs. What `start_child` brought of a temporary child's arguments is forgotten: nothing starts it again."""
    slot.status, slot.child, slot.name, slot.alive, slot.since = "running", child, child.name, True, state.now
    brought = state.current is not None and state.current.new and state.current.id == slot.key
    if brought and slot.spec.restart == "temporary" and (slot.spec.args or slot.spec.kwargs):
        slot.spec = replace(slot.spec, args=(), kwargs={})


def retry(slot: Slot) -> list[m.Effect]:
    """Start it again when the events that wait have been taken in, or after its back-off."""
    slot.status = "restarting"
    backoff = slot.spec.backoff
    if backoff is None:
        return [m.Retry(slot.key, slot.instance)]
    return [m.Retry(slot.key, slot.instance, backoff.wait_s(slot.tries), backoff.jitter)]


def stop_child(slot: Slot) -> list[m.Effect]:
    """Stop the instance; nothing if that is under way."""
    if slot.status == "stopping":
        return []
    slot.status = "stopping"
    return [m.StopChild(slot.key, slot.instance, slot.spec.shutdown_or_default)]


def stays(state: State, slot: Slot) -> bool:
    """Whether its specification outlives its process: not a temporary one's, nor one that was started on demand."""
    return slot.spec.restart != "temporary" and not state.spec.is_dynamic


def settle_stopped(state: State, slot: Slot) -> None:
    """It has no process and gets none by itself."""
    slot.status, slot.alive, slot.child = "stopped", False, None
    if not stays(state, slot):
        del state.slots[slot.key]


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
