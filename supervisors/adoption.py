"""A supervisor's second life: what lives of the first one is taken over, and what was under way goes on. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from supervisors import messages as m
from supervisors.child import Child
from supervisors.exits import NOT_FOUND, Exit
from supervisors.spec import WORKER_SHUTDOWN_S
from supervisors.state import NOBODY, Current, Slot, State, came_up, retry, settle_stopped, start, stop_child


def take_over(state: State, init: m.Init) -> list[m.Effect]:
    """Deal with every child of the former life, each as its status there says.

    A child that is found runs, and is not started, whatever is remembered of it. One that ran and is not found has
    exited meanwhile. A start that nobody reported is made again, without a further stamp; one that a call had asked
    for is undone, as nobody was told of a child. What is found and not known is stopped.
    """
    state.instances = max([state.instances, *(instance for instance, _ in init.found.values())])
    due = set(state.to_start)
    effects: list[m.Effect] = []
    stopping: Current | None = None
    for slot in list(state.slots.values()):
        if slot.key in init.found:
            stop = _adopt(state, slot, *init.found[slot.key])
            stopping = Current(NOBODY, slot.key) if stop else stopping
            effects += stop
        elif state.leave is not None:
            slot.status, slot.alive = "stopped", False
        elif slot.key not in due:
            effects += _missing(state, slot, init.lost.get(slot.key), due)
    state.current = stopping
    due -= init.found.keys()
    state.to_start = deque(key for key in state.slots if key in due)
    return effects + _stop_strangers(state, init)


def _adopt(state: State, slot: Slot, instance: int, child: Child) -> list[m.Effect]:
    """It runs; if a call was stopping it, that goes on."""
    stop = slot.status == "stopping" and state.group is None and state.leave is None
    since = slot.since if slot.status == "running" else state.now
    slot.instance = instance
    came_up(state, slot, child)
    slot.since = since
    return stop_child(slot) if stop else []


def _missing(state: State, slot: Slot, lost: Exit | None, due: set[str]) -> list[m.Effect]:
    lived, slot.alive = slot.alive, False
    waits = state.group is not None and slot.key in state.group.to_start  # its group starts it again in any case
    match slot.status:
        case "running":
            reason = lost if lived else slot.last_exit  # that of an exit which had to wait is known
            state.deferred.append(m.Exited(slot.key, slot.instance, reason or NOT_FOUND))
        case "stopping" if not waits:
            settle_stopped(state, slot)
        case "restarting" if not lived and not waits:
            return retry(slot)
        case "starting" | "restarting" if lived:
            return _start_again(state, slot, lost, due)
    return []


def _start_again(state: State, slot: Slot, lost: Exit | None, due: set[str]) -> list[m.Effect]:
    """A start was under way: that of a call, of a group's restart, of init, or a restart of this child alone."""
    if state.current is not None and state.current.id == slot.key:
        settle_stopped(state, slot)
        if state.current.new:
            state.slots.pop(slot.key, None)
    elif state.group is not None:
        state.group = replace(state.group, to_start=deque([slot.key, *state.group.to_start]))
    elif slot.status == "starting":
        due.add(slot.key)
    elif lost is not None:
        slot.last_exit = lost
        return retry(slot)
    else:
        return start(state, slot, "restarting")
    return []


def _stop_strangers(state: State, init: m.Init) -> list[m.Effect]:
    """They were found, and the specification of this life has them no longer."""
    return [
        m.StopChild(key, instance, WORKER_SHUTDOWN_S)
        for key, (instance, _) in init.found.items()
        if key not in state.slots
    ]
