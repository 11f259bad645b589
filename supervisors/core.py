"""The heart: OTP's supervisor as `step(state, event, now) -> effects`.

Pure: no I/O, no clock, no randomness, no Ray. It changes only the state that it is given; the same events with the
same stamps give the same effects. Read it from the top: the table, `step`, then one function for each event. Calls are
in `calls`, the state in `state`.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Literal

from supervisors import messages as m
from supervisors.calls import begin, call_failed, read
from supervisors.errors import FailedToStartChild, SupervisorStopping
from supervisors.exits import SHUTDOWN, Exit
from supervisors.intensity import add_restart, exceeded
from supervisors.spec import GROUP_STRATEGIES, RestartType
from supervisors.state import Group, Slot, State, start, stop_child

NOT_FOUND = Exit("noproc", "it was gone when its supervisor came back")


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
    match event:
        case m.Init():
            return _init(state, event, now)
        case m.Call():
            return _call(state, event)
        case m.Stop(reason):
            return _stop(state, m.Leave(reason))
        case m.Started():
            return _started(state, event, now)
        case m.Ignored():
            return _ignored(state, event)
        case m.StartFailed():
            return _start_failed(state, event)
        case m.Exited():
            return _exited(state, event, now)
        case m.TryAgain():
            return _try_again(state, event, now)


def _mine(state: State, event: m.Started | m.Ignored | m.StartFailed | m.Exited | m.TryAgain) -> Slot | None:
    slot = state.slots.get(event.id)
    return slot if slot and slot.instance == event.instance else None


# Init


def _init(state: State, event: m.Init, now: float) -> list[m.Effect]:
    """Take over what lives from a former life; what should live and does not has exited meanwhile."""
    for slot in state.slots.values():
        if slot.key in event.found:
            slot.instance, slot.child = event.found[slot.key]
            slot.status, slot.alive, slot.since = "running", True, now
        elif slot.instance and slot.status != "stopped":
            slot.status = "running"
            reason = event.lost.get(slot.key, NOT_FOUND)
            state.deferred.append((m.Exited(slot.key, slot.instance, reason), now))
    return _init_next(state)


def _init_next(state: State) -> list[m.Effect]:
    """Children start one after the other; when the last one has, what died meanwhile is dealt with, then calls."""
    if state.to_start:
        return start(state, state.slots[state.to_start.popleft()], "starting")
    state.phase = "running"
    return [m.Ready(), *_go_on(state)]


def _go_on(state: State) -> list[m.Effect]:
    """What had to wait, in order, for as long as nothing else begins: exits and retries, then calls."""
    effects: list[m.Effect] = []
    while state.deferred and not _is_busy(state):
        event, at = state.deferred.popleft()
        effects += step(state, event, at)
    while state.waiting and state.current is None and state.group is None and state.phase == "running":
        effects += begin(state, state.waiting.popleft())
    return effects


def _is_busy(state: State) -> bool:
    """Whether exits and retries have to wait: where one child's fate is the others', one thing happens at a time."""
    if state.phase == "init" or state.group is not None:
        return True
    return state.current is not None and state.spec.strategy in GROUP_STRATEGIES


# What the backend reports


def _started(state: State, event: m.Started, now: float) -> list[m.Effect]:
    slot = _mine(state, event)
    if slot is None or slot.status == "stopping":
        return []
    slot.status, slot.child, slot.since = "running", event.child, now
    return _next(state, slot.key, event.child)


def _ignored(state: State, event: m.Ignored) -> list[m.Effect]:
    """The specification stays with no process; a temporary one, and one started on demand, goes."""
    slot = _mine(state, event)
    if slot is None:
        return []
    slot.alive = False
    if slot.status == "stopping":
        return _stopped(state, slot)
    slot.status = "stopped"
    if slot.spec.restart == "temporary" or state.spec.is_dynamic:
        del state.slots[slot.key]
    return _next(state, slot.key, None)


def _next(state: State, key: str, answer: Any) -> list[m.Effect]:
    """A start ended well: go on with whatever it was a part of."""
    if state.phase == "init":
        return _init_next(state)
    if state.group is not None:
        return _group_next(state)
    return answer_call(state, key, answer)


def _start_failed(state: State, event: m.StartFailed) -> list[m.Effect]:
    slot = _mine(state, event)
    if slot is None:
        return []
    slot.alive, slot.last_exit = False, event.reason
    if slot.status == "stopping" or state.phase == "stopping":
        return _stopped(state, slot)
    if state.phase == "init":
        return _stop(state, m.Leave(SHUTDOWN, FailedToStartChild(slot.spec.id, event.reason)))
    if state.group is not None:
        state.group = None
        return [*_retry(slot), *_go_on(state)]
    if slot.status == "restarting":
        return _retry(slot)
    return answer_call(state, slot.key, call_failed(state, slot, event.reason))


def _exited(state: State, event: m.Exited, now: float) -> list[m.Effect]:
    slot = _mine(state, event)
    if slot is None or (slot.status in ("stopped", "restarting") and not slot.alive):
        return []  # a deferred exit whose child was terminated, or restarted with its group, in the meantime
    slot.alive, slot.child, slot.last_exit = False, None, event.reason
    if slot.status == "stopping" or state.phase in ("stopping", "over"):
        return _stopped(state, slot)
    if state.group is not None and slot.key in state.group.to_stop:
        return []  # it went before it was asked to
    if _is_busy(state):
        state.deferred.append((event, now))
        return []
    match after_exit(slot.spec.restart, event.reason):
        case "restart":
            return _again(state, slot, now)
        case "keep" if not state.spec.is_dynamic:
            slot.status = "stopped"
        case _:
            del state.slots[slot.key]
    return _auto_shutdown(state, slot)


def _auto_shutdown(state: State, ended: Slot) -> list[m.Effect]:
    """A significant child ended by itself and is not restarted."""
    if not ended.spec.significant or state.spec.auto_shutdown == "never":
        return []
    others = any(
        slot.spec.significant and slot.status != "stopped" for slot in state.slots.values() if slot is not ended
    )
    if others and state.spec.auto_shutdown == "all_significant":
        return []
    return _stop(state, m.Leave(SHUTDOWN))


# Restarts


def _again(state: State, slot: Slot, now: float) -> list[m.Effect]:
    """Restart the child that exited, at once or after its back-off."""
    backoff = slot.spec.backoff
    if backoff is None:
        return _restart(state, slot, now)
    if now - slot.since >= backoff.reset_after_s:
        slot.tries = 0
    return _retry(slot)


def _retry(slot: Slot) -> list[m.Effect]:
    slot.status = "restarting"
    backoff = slot.spec.backoff
    if backoff is None:
        return [m.Retry(slot.key, slot.instance)]
    return [m.Retry(slot.key, slot.instance, backoff.wait_s(slot.tries), backoff.jitter)]


def _try_again(state: State, event: m.TryAgain, now: float) -> list[m.Effect]:
    slot = _mine(state, event)
    if slot is None or slot.status != "restarting" or slot.alive or state.phase != "running":
        return []
    if _is_busy(state):
        state.deferred.append((event, now))
        return []
    return _restart(state, slot, now)


def _restart(state: State, slot: Slot, now: float) -> list[m.Effect]:
    """Each attempt takes a stamp, a repeated one too; a restart of several children takes one."""
    if state.spec.counts is None or state.spec.counts(slot.last_exit or NOT_FOUND):
        state.stamps = add_restart(state.stamps, now, state.spec.max_seconds)
        if exceeded(state.stamps, state.spec.intensity):
            slot.status = "stopped"
            why = f"child {slot.spec.id!r} ended ({slot.last_exit}) once too often"
            return _stop(state, m.Leave(Exit("shutdown", why), gave_up=True))
    slot.restarts += 1
    slot.tries += 1
    if state.spec.strategy not in GROUP_STRATEGIES:
        return start(state, slot, "restarting")
    slot.status = "restarting"
    keys = list(state.slots)
    concerned = keys if state.spec.strategy == "one_for_all" else keys[keys.index(slot.key) :]
    state.group = Group(concerned, deque(concerned))
    return _group_next(state)


def _group_next(state: State) -> list[m.Effect]:
    """Stop in reverse, dropping temporary children; then start in order, also those that were stopped before."""
    group = state.group
    assert group is not None
    while group.to_stop:
        slot = state.slots[group.to_stop[-1]]
        if slot.alive:
            return stop_child(slot)
        group.to_stop.pop()
        if slot.spec.restart == "temporary":
            del state.slots[slot.key]
    while group.to_start:
        key = group.to_start.popleft()
        if key in state.slots:
            return start(state, state.slots[key], "starting")
    state.group = None
    return _go_on(state)


# Stopping


def _stop(state: State, leave: m.Leave) -> list[m.Effect]:
    """Refuse who waits, then stop the children; a second request to stop changes nothing."""
    if state.phase in ("stopping", "over"):
        return []
    state.phase, state.leave, state.group = "stopping", leave, None
    state.deferred.clear()
    refs = [state.current.ref] if state.current else []
    refs += [call.ref for call in state.waiting]
    state.current = None
    state.waiting.clear()
    refused: list[m.Effect] = [m.Reply(ref, SupervisorStopping()) for ref in refs]
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
    slot.status, slot.child = "stopped", None
    if state.phase == "stopping":
        if slot.spec.restart == "temporary" or state.spec.is_dynamic:
            del state.slots[slot.key]
        state.stopping -= state.spec.is_dynamic
        return _stop_next(state)
    if state.group is not None:
        return _group_next(state)
    if slot.spec.restart == "temporary" or state.spec.is_dynamic:
        del state.slots[slot.key]
    return answer_call(state, slot.key, None)


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
    return [m.Reply(ref, answer), *_go_on(state)]
