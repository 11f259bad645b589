"""The heart: OTP's supervisor as `step(state, event, now) -> effects`.

Pure: no I/O, no clock, no randomness, no Ray. It changes only the state that it is given; the same events with the
same stamps give the same effects. Read it from the top: the table, `step`, then one function for each event. Calls are
in `calls`, a second life in `adoption`, the state in `state`.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Literal

from supervisors import messages as m
from supervisors.adoption import take_over
from supervisors.calls import begin, call_failed, read
from supervisors.errors import FailedToStartChild, SupervisorStopping
from supervisors.exits import NOT_FOUND, SHUTDOWN, Exit
from supervisors.intensity import add_restart, exceeded
from supervisors.spec import GROUP_STRATEGIES, RestartType
from supervisors.state import (
    NOBODY,
    Group,
    Slot,
    State,
    Status,
    came_up,
    retry,
    settle_stopped,
    start,
    stays,
    stop_child,
)


def after_exit(restart: RestartType, reason: Exit) -> Literal["restart", "keep", "drop"]:
    """What becomes of a child that ended by itself: a row for each restart type and exit reason."""
    match restart, reason.kind:
        case "permanent", _:
            return "restart"
        case "transient", "normal" | "shutdown":
            return "keep"
        case "transient", _:
            return "restart"
        case _:
            return "drop"


def step(state: State, event: m.Event, now: float) -> list[m.Effect]:
    """Take one event in.

    Args:
        state: Changed in place.
        event: What happened.
        now: When it was noticed, monotonic seconds.

    Returns:
        What to do, in this order.
    """
    state.now = now
    return _take_in(state, event)


def _take_in(state: State, event: m.Event) -> list[m.Effect]:
    match event:
        case m.Init():
            return _init(state, event)
        case m.Call():
            return _call(state, event)
        case m.Stop(reason):
            return _asked_to_stop(state, m.Leave(reason))
        case m.Started():
            return _started(state, event)
        case m.Ignored():
            return _ignored(state, event)
        case m.StartFailed():
            return _start_failed(state, event)
        case m.Exited():
            return _exited(state, event)
        case m.TryAgain():
            return _try_again(state, event)


def _mine(state: State, event: m.Started | m.Ignored | m.StartFailed | m.Exited | m.TryAgain) -> Slot | None:
    slot = state.slots.get(event.id)
    return slot if slot and slot.instance == event.instance else None


# Init


def _init(state: State, event: m.Init) -> list[m.Effect]:
    state.begun = True
    taken = take_over(state, event)
    if state.leave is not None:
        return taken + _stop(state, state.leave)
    return taken + _init_next(state)


def _init_next(state: State) -> list[m.Effect]:
    """Children start one after the other; when the last one has, what died meanwhile is dealt with, then calls."""
    if state.to_start:
        return start(state, state.slots[state.to_start.popleft()], "starting")
    state.phase = "running"
    return [m.Ready(), *(_group_next(state) if state.group else _go_on(state))]


def _go_on(state: State) -> list[m.Effect]:
    """What had to wait, in order, for as long as nothing else begins: exits and retries, then calls."""
    effects: list[m.Effect] = []
    while state.deferred and not _is_busy(state):
        effects += _take_in(state, state.deferred.popleft())
    while state.waiting and state.current is None and state.group is None and state.phase == "running":
        effects += begin(state, state.waiting.popleft())
    return effects


def _is_busy(state: State) -> bool:
    """Whether exits and retries have to wait: where one child's fate is the others', one thing happens at a time."""
    if state.phase == "init" or state.group is not None:
        return True
    return state.current is not None and state.spec.strategy in GROUP_STRATEGIES


# What the backend reports


def _started(state: State, event: m.Started) -> list[m.Effect]:
    slot = _mine(state, event)
    if slot is None or slot.status == "stopping":
        return []
    was = slot.status
    came_up(state, slot, event.child)
    return _next(state, slot.key, was, event.child)


def _ignored(state: State, event: m.Ignored) -> list[m.Effect]:
    """The specification stays with no process; a temporary one, and one started on demand, goes."""
    slot = _mine(state, event)
    if slot is None:
        return []
    slot.alive = False
    if slot.status == "stopping":
        return _stopped(state, slot)
    was = slot.status
    settle_stopped(state, slot)
    return _next(state, slot.key, was, None)


def _next(state: State, key: str, was: Status, answer: Any) -> list[m.Effect]:
    """A start ended well: go on with whatever it was a part of."""
    if state.phase == "init":
        return _init_next(state) if was == "starting" else []
    if state.group is not None:
        return _group_next(state) if state.group.starting == key else []
    return answer_call(state, key, answer)


def _start_failed(state: State, event: m.StartFailed) -> list[m.Effect]:
    slot = _mine(state, event)
    if slot is None:
        return []
    slot.alive, slot.last_exit = False, event.reason
    if slot.status == "stopping" or state.phase == "stopping":
        return _stopped(state, slot)
    if slot.status == "restarting":
        _end_group(state, slot.key)
        return [*retry(slot), *_go_on(state)]
    if state.phase == "init":
        slot.status = "stopped"
        return _stop(state, m.Leave(SHUTDOWN, FailedToStartChild(slot.spec.id, event.reason)))
    return answer_call(state, slot.key, call_failed(state, slot, event.reason))


def _exited(state: State, event: m.Exited) -> list[m.Effect]:
    slot = _mine(state, event)
    if slot is None or (slot.status in ("stopped", "restarting") and not slot.alive):
        return []  # a deferred exit whose child was terminated, or restarted with its group, in the meantime
    slot.alive, slot.child, slot.last_exit = False, None, event.reason
    if slot.status == "stopping" or state.phase in ("stopping", "over"):
        return _stopped(state, slot)
    if state.group is not None and slot.key in state.group.to_stop:
        slot.status = "restarting"  # it went before it was asked to
        return []
    if _is_busy(state):
        state.deferred.append(event)
        return []
    if after_exit(slot.spec.restart, event.reason) == "restart":
        return _again(state, slot)
    settle_stopped(state, slot)
    return _auto_shutdown(state, slot)


def _auto_shutdown(state: State, ended: Slot) -> list[m.Effect]:
    """A significant child ended by itself and is not restarted."""
    if not ended.spec.significant or state.spec.auto_shutdown == "never":
        return []
    others = any(slot.spec.significant and slot.status != "stopped" for slot in state.slots.values())
    if others and state.spec.auto_shutdown == "all_significant":
        return []
    return _stop(state, m.Leave(SHUTDOWN))


# Restarts


def _again(state: State, slot: Slot) -> list[m.Effect]:
    """Restart the child that exited, at once or after its back-off."""
    backoff = slot.spec.backoff
    if backoff is None:
        return _restart(state, slot)
    if state.now - slot.since >= backoff.reset_after_s:
        slot.tries = 0
    return retry(slot)


def _try_again(state: State, event: m.TryAgain) -> list[m.Effect]:
    slot = _mine(state, event)
    if slot is None or slot.status != "restarting":
        return []
    if _is_busy(state):
        state.deferred.append(event)
        return []
    return _restart(state, slot)


def _restart(state: State, slot: Slot) -> list[m.Effect]:
    """Each attempt takes a stamp, a repeated one too; a restart of several children takes one."""
    refusal = _refusal(state, slot)
    if refusal is not None:
        slot.status = "stopped"
        return _stop(state, refusal)
    slot.tries += 1
    if state.spec.strategy not in GROUP_STRATEGIES:
        slot.restarts += 1
        return start(state, slot, "restarting")
    slot.status = "restarting"
    keys = list(state.slots)
    concerned = keys if state.spec.strategy == "one_for_all" else keys[keys.index(slot.key) :]
    state.group = Group(concerned, deque(concerned))
    return _group_next(state)


def _refusal(state: State, slot: Slot) -> m.Leave | None:
    """With what the supervisor leaves instead of this restart, if it does: too many, or its own rule is broken."""
    reason = slot.last_exit or NOT_FOUND
    try:
        counts = state.spec.counts is None or state.spec.counts(reason)
    except Exception as error:  # a caller's function
        return m.Leave(Exit("crash", f"counts({reason!r}) raised {type(error).__name__}: {error}"))
    if counts:
        state.stamps = add_restart(state.stamps, state.now, state.spec.max_seconds)
        if exceeded(state.stamps, state.spec.intensity):
            return m.Leave(Exit("shutdown", f"child {slot.spec.id!r} ended ({reason}) once too often"), gave_up=True)
    return None


def _group_next(state: State) -> list[m.Effect]:
    """Stop in reverse, dropping temporary children; then start in order, also those that were stopped before."""
    group = state.group
    assert group is not None
    while group.to_stop:
        slot = state.slots[group.to_stop[-1]]
        if slot.alive:
            return stop_child(slot)
        group.to_stop.pop()
        slot.status = "restarting"
        if not stays(state, slot):
            del state.slots[slot.key]
    while group.to_start:
        group.starting = group.to_start.popleft()
        again = state.slots.get(group.starting)
        if again is not None and not again.alive:
            again.restarts += 1
            return start(state, again, "restarting")
    state.group = None
    return _go_on(state)


def _end_group(state: State, failed: str) -> None:
    """If the start that failed is a group's, those after it are not started."""
    if state.group is None or state.group.starting != failed:
        return
    for key in state.group.to_start:
        if key in state.slots:
            state.slots[key].status = "stopped"
    state.group = None


# Stopping


def _asked_to_stop(state: State, leave: m.Leave) -> list[m.Effect]:
    """What lives is known from init on; one that has not begun stops then."""
    if state.begun:
        return _stop(state, leave)
    state.leave = state.leave or leave
    return []


def _stop(state: State, leave: m.Leave) -> list[m.Effect]:
    """Refuse who waits, then stop the children; a second request to stop changes nothing."""
    if state.phase in ("stopping", "over"):
        return []
    state.phase, state.leave, state.group = "stopping", leave, None
    state.deferred.clear()
    refs = [state.current.ref] if state.current and state.current.ref != NOBODY else []
    refs += [call.ref for call in state.waiting]
    state.current = None
    state.waiting.clear()
    refused: list[m.Effect] = [m.Reply(ref, SupervisorStopping()) for ref in refs]
    for slot in state.slots.values():
        slot.status = slot.status if slot.alive else "stopped"  # no restart comes any more
    if not state.spec.is_dynamic:
        state.to_stop = list(state.slots)
        return refused + _stop_next(state)
    living = [slot for slot in state.slots.values() if slot.alive]
    state.stopping = len(living)
    return refused + [effect for slot in living for effect in stop_child(slot)] + _stop_next(state)


def _stop_next(state: State) -> list[m.Effect]:
    """In reverse, one after the other; those started on demand all at once."""
    while state.to_stop:
        slot = state.slots.get(state.to_stop[-1])
        if slot and slot.alive:
            return stop_child(slot)
        state.to_stop.pop()
    if state.stopping:
        return []
    state.phase = "over"
    return [state.leave] if state.leave else []


def _stopped(state: State, slot: Slot) -> list[m.Effect]:
    """It was asked to end, or the supervisor was, and it has."""
    if state.group is not None and slot.key in state.group.to_stop:
        slot.status, slot.child = "restarting", None
        return _group_next(state)
    settle_stopped(state, slot)
    if state.phase != "stopping":
        return answer_call(state, slot.key, None)
    state.stopping -= state.spec.is_dynamic
    return _stop_next(state)


# Calls: reads are answered from the state at once, the others one after the other


def _call(state: State, call: m.Call) -> list[m.Effect]:
    if state.phase in ("stopping", "over"):
        return [m.Reply(call.ref, SupervisorStopping())]
    answer = read(state, call.request)
    if answer is not None:
        return [m.Reply(call.ref, answer)]
    state.waiting.append(call)
    return _go_on(state) if state.phase == "running" else []


def answer_call(state: State, key: str, answer: Any) -> list[m.Effect]:
    """Answer the call that is about this child, if there is one, and go on with the next."""
    if state.current is None or state.current.id != key:
        return []
    ref, state.current = state.current.ref, None
    replies: list[m.Effect] = [] if ref == NOBODY else [m.Reply(ref, answer)]
    return [*replies, *_go_on(state)]
