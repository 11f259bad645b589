"""Finding out what a change needs before it can be written: from the store and the programs, off the host's loop."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from dspex_actors.clock import Clock
from dspex_actors.errors import DspexError, Internal, InvalidRequest
from dspex_actors.programs.call import HistoryTurn
from dspex_actors.resources.binding import Binding
from dspex_actors.resources.program import Program
from dspex_actors.resources.variables import Values
from dspex_actors.sessions.events import Bound, Json, Look, Looked, Raised
from dspex_actors.sessions.reading import recollect
from dspex_actors.sessions.session import Session
from dspex_actors.sessions.state import exchange
from dspex_actors.store.port import Store
from dspex_actors.store.sessions import parse_program

if TYPE_CHECKING:
    from dspex_actors.programs.catalogue import Programs

log = logging.getLogger(__name__)


def look(store: Store, programs: Programs, clock: Clock, session: Session, wanted: Look) -> Looked | Raised:
    """What was found, or why not. Blocks; raises nothing: somebody waits."""
    try:
        if wanted.kind == "rewind":
            past, values = _past(store, session, wanted.inputs["to_turn"])
            return Looked(wanted.token, past, clock.now_us(), values)
        bound = _bound(store, programs, session, wanted)
        return Looked(wanted.token, None, clock.now_us(), bound=bound)
    except DspexError as error:
        return Raised(wanted.token, error, clock.now_us())
    except Exception:
        log.exception("a %s of session %s cannot be prepared", wanted.kind, session.record.uid)
        fault = Internal("What this needs could not be read; nothing was changed. The log has the cause.")
        return Raised(wanted.token, fault, clock.now_us())


def _past(store: Store, session: Session, to_turn: int) -> tuple[tuple[HistoryTurn, ...], Values]:
    """The end of the conversation after a turn, as much as is shown, and the variables as they were then."""
    uid, window = session.record.uid, session.state.history.maxlen or 0
    entries = store.conversation(uid, to_turn, window)
    values = _variables_after(store, uid, to_turn) if session.state.variables_at else {}
    return tuple(map(exchange, entries)), values


def _variables_after(store: Store, uid: str, turn: int) -> Values:
    """A turn that changed none says which entry was the last to do so, and that one has all of them."""
    if turn == 0:
        return {}
    delta: Json = orjson.loads(store.turn(uid, turn).delta)
    if "variables" not in delta and "variables_at" in delta:
        delta = orjson.loads(store.entry(uid, delta["variables_at"]).delta)
    values: Values = delta.get("variables", {})
    return values


def _bound(store: Store, programs: Programs, session: Session, wanted: Look) -> Bound:
    before, asked = Binding.of(session.record), wanted.inputs.get("asked", {})
    follows = wanted.kind == "follow"
    program = _program(store, session, session.record.program if follows else asked.get("program"))
    kept = {name: value for name, value in asked.items() if name != "program"}
    binding = replace(before, program_uid=program.uid, version=program.version, **kept)
    loaded = programs.known(program.uid) or programs.load(program)
    shown = None
    if loaded.history_window != session.state.history.maxlen:
        read = recollect(store, store.load_session(session.record.uid), loaded.history_window)
        shown = tuple(read.found.state(loaded.history_window).history)
    return Bound(binding, session.record.own.over(loaded.variables), loaded.history_window, loaded, shown)


def _program(store: Store, session: Session, asked: str | None) -> Program:
    """The version that a session is to run: the one it has, the live one, or one that is named."""
    record = session.record
    if asked is None:
        return store.load_program(record.program_uid)
    name, version = parse_program(asked)
    if name != record.program:
        msg = f"This session stays with the program {record.program}; name a version of it, {record.program}@1"
        raise InvalidRequest(f"{msg}.", errors=[{"loc": ["program"], "msg": msg, "type": "program"}])
    return store.get_program(record.tenant, name, version)
