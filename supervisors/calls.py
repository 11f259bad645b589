"""What each call does and answers: OTP's table, a function a row. Pure, a part of the core."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from supervisors import messages as m
from supervisors.child import Child, ChildInfo
from supervisors.errors import (
    AlreadyPresent,
    AlreadyStarted,
    BadSpec,
    ChildNotFound,
    MaxChildren,
    NotForDynamic,
    Restarting,
    Running,
    StartError,
    SupervisorError,
)
from supervisors.exits import Exit
from supervisors.spec import ChildSpec, SupervisorSpec
from supervisors.state import Current, Slot, State, counts_of, info_of, settle_stopped, start, stop_child


def read(state: State, request: m.Request) -> Any:
    """The answer to a call that changes nothing; None if it is another one."""
    match request:
        case m.WhichChildren():
            return [info_of(state, slot) for slot in reversed(state.slots.values())]
        case m.CountChildren():
            return counts_of(state)
        case m.WhichChild(child):
            return _which_child(state, child)
        case _:
            return None


def _which_child(state: State, child: str | Child) -> ChildInfo | SupervisorError:
    try:
        return info_of(state, _slot_of(state, child))
    except SupervisorError as error:
        return error


def begin(state: State, call: m.Call) -> list[m.Effect]:
    """Begin to serve a call that changes something; it is over with its `Reply`."""
    try:
        match call.request:
            case m.StartChild(spec):
                return _start_child(state, call.ref, spec)
            case m.StartFromTemplate(args):
                return _start_from_template(state, call.ref, args)
            case m.TerminateChild(child):
                return _terminate_child(state, call.ref, child)
            case m.RestartChild(id_):
                return _restart_child(state, call.ref, id_)
            case m.DeleteChild(id_):
                return _delete_child(state, call.ref, id_)
            case m.UpdateSpecs():
                return _update_specs(state, call.ref, call.request)
            case _:
                raise BadSpec(f"{call.request!r} is no request; accepted: the requests of supervisors.messages.")
    except SupervisorError as error:
        return [m.Reply(call.ref, error)]


def call_failed(state: State, slot: Slot, reason: Exit) -> SupervisorError:
    """`start_child` that fails leaves nothing; `restart_child` that fails leaves the specification as it was."""
    slot.status = "stopped"
    if state.current is not None and state.current.new:
        del state.slots[slot.key]
    return StartError(slot.spec.id, reason)


def _start_child(state: State, ref: int, spec: ChildSpec) -> list[m.Effect]:
    if state.spec.strategy == "simple_one_for_one":
        raise BadSpec("A simple_one_for_one supervisor has its template; give start_child the further arguments alone.")
    state.spec.check_child(spec)
    if state.spec.is_dynamic:
        return _start_on_demand(state, ref, spec)
    slot = state.slots.get(spec.id)
    if slot is not None:
        raise AlreadyStarted(spec.id, slot.child) if slot.status == "running" else AlreadyPresent(spec.id)
    return _start_new(state, ref, spec.id, spec)


def _start_from_template(state: State, ref: int, args: tuple[Any, ...]) -> list[m.Effect]:
    if state.spec.strategy != "simple_one_for_one":
        raise BadSpec(
            f"A supervisor of strategy {state.spec.strategy!r} has no template; give start_child a ChildSpec."
        )
    if not isinstance(args, tuple | list):
        raise BadSpec(f"args={args!r} is not accepted; give a tuple or a list.")
    template = state.spec.children[0]
    return _start_on_demand(state, ref, replace(template, args=(*template.args, *args)))


def _start_on_demand(state: State, ref: int, spec: ChildSpec) -> list[m.Effect]:
    if state.spec.max_children is not None and len(state.slots) >= state.spec.max_children:
        raise MaxChildren(state.spec.max_children)
    state.keys += 1
    return _start_new(state, ref, str(state.keys), spec)


def _start_new(state: State, ref: int, key: str, spec: ChildSpec) -> list[m.Effect]:
    slot = state.slots[key] = Slot(key, spec)
    state.current = Current(ref, key, new=True)
    return start(state, slot, "starting")


def _terminate_child(state: State, ref: int, child: str | Child) -> list[m.Effect]:
    slot = _slot_of(state, child)
    if slot.alive:
        state.current = Current(ref, slot.key)
        return stop_child(slot)
    settle_stopped(state, slot)
    return [m.Reply(ref, None)]


def _slot_of(state: State, child: str | Child) -> Slot:
    """A child stands for one incarnation; where children are started on demand, their ids need not differ."""
    if not isinstance(child, str | Child):
        raise BadSpec(f"child={child!r} is not accepted; give its id, or the Child that start_child answered.")
    if isinstance(child, Child):
        slot = state.slots.get(child.key)
        if slot is None or slot.name != child.name:
            raise ChildNotFound(child.id)
        return slot
    if state.spec.is_dynamic:
        raise NotForDynamic(state.spec.strategy)
    if child not in state.slots:
        raise ChildNotFound(child)
    return state.slots[child]


def _restart_child(state: State, ref: int, id_: str) -> list[m.Effect]:
    slot = _stopped_slot(state, id_)
    state.current, slot.tries = Current(ref, id_), 0
    return start(state, slot, "starting")


def _delete_child(state: State, ref: int, id_: str) -> list[m.Effect]:
    del state.slots[_stopped_slot(state, id_).key]
    return [m.Reply(ref, None)]


def _stopped_slot(state: State, id_: str) -> Slot:
    if state.spec.is_dynamic:
        raise NotForDynamic(state.spec.strategy)
    slot = state.slots.get(id_) if isinstance(id_, str) else None
    if slot is None:
        raise ChildNotFound(id_)
    if slot.status != "stopped":
        raise Restarting(id_) if slot.status == "restarting" else Running(id_)
    return slot


def _update_specs(state: State, ref: int, update: m.UpdateSpecs) -> list[m.Effect]:
    """Those that stay get their new specification, new ones are not started, removed ones go on running."""
    spec, old = update.spec, state.slots
    if not isinstance(spec, SupervisorSpec):
        raise BadSpec(f"update_specs takes a SupervisorSpec, not {type(spec).__name__}.")
    if spec.strategy != state.spec.strategy and (spec.is_dynamic or state.spec.is_dynamic):
        raise BadSpec(
            f"A supervisor of strategy {state.spec.strategy!r} cannot become one of strategy {spec.strategy!r}; "
            "start another one."
        )
    if spec.strategy == "simple_one_for_one":
        template = spec.children[0]
        new = {key: _made_of(template, slot.spec) for key, slot in old.items()}
    else:
        new = {child.id: child for child in spec.children}
    state.slots = {key: old.get(key) or Slot(key, child) for key, child in new.items()} | old
    for key, child in new.items():
        state.slots[key].spec = child
    state.spec = spec
    return [m.Reply(ref, None)]


def _made_of(template: ChildSpec, old: ChildSpec) -> ChildSpec:
    """The template with a child's own arguments; a temporary child stays one, as those are not known any more."""
    if old.restart == "temporary" and template.restart != "temporary":
        return old
    return replace(template, args=old.args)
