"""Changes that are no turns: what the session's core does with one where a turn would run its program.

A change waits, expires, is joined, committed and replayed as a turn is; only what is written differs. Four kinds:

- `rewind`: the conversation and the variables become what they were after a turn. The past of a turn never changes, so
  what was read of it is still true when the entry is in the journal.
- `variable`: values are set. Needs nothing from outside.
- `bind`: the session gets another program version, model or policy.
- `follow`: nobody asked for it but the session's own policy: it is bound to the live version, if that is another one.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from dspex_actors.errors import DspexError, NotFound, PreconditionFailed
from dspex_actors.ids import body_hash
from dspex_actors.programs.call import HistoryTurn
from dspex_actors.programs.variables import TurnVariables
from dspex_actors.resources.binding import Binding
from dspex_actors.resources.journal import Entry
from dspex_actors.resources.variables import Values, checked, merged
from dspex_actors.sessions.conversation import Conversation
from dspex_actors.sessions.events import Commit, Effect, Json, Look, Looked, Ran

if TYPE_CHECKING:
    from dspex_actors.sessions.session import Session, Turn


def refusal(session: Session, change: Turn) -> DspexError | None:
    """Why it cannot be, as far as the session itself knows; None where it can."""
    try:
        match change.kind:
            case "rewind":
                _check_turn(change.inputs["to_turn"], session.state.turn)
            case "variable":
                _check_unchanged(change.inputs["if_match"], session.state.variables_at, "Its variables")
                _set(session, change.inputs)
            case "bind":
                _check_unchanged(change.inputs["if_match"], session.record.changed, "The session")
    except DspexError as error:
        return error
    return None


def begin(session: Session, change: Turn, now_us: int) -> Effect:
    """What starts it."""
    session.begun = session.begun or change.kind == "follow"
    if change.kind == "variable":
        return commit(session, change, Looked(change.token, None, now_us))
    return Look(change.token, change.kind, change.inputs)


def commit(session: Session, change: Turn, found: Looked) -> Effect:
    """Its entry, numbered after the last one, without a turn's number."""
    kind, delta = _written(session, change, found)
    change.ran = found
    change.entry = Entry(
        uid=session.record.uid, seq=session.state.seq + 1, kind=kind, turn=None, turn_id=change.turn_id or None,
        body_hash=change.body_hash or body_hash(kind, delta), delta=orjson.dumps(delta), at_us=found.now_us,
        unit=session.record.unit, epoch=session.epoch,
    )  # fmt: skip
    return Commit(change.entry)


def is_needless(session: Session, change: Turn, found: Looked) -> bool:
    """Whether there is nothing to write: the session follows, and is there already."""
    return change.kind == "follow" and found.bound is not None and found.bound.binding == Binding.of(session.record)


def past_of(inputs: Json, ended: Ran | Looked) -> tuple[HistoryTurn, ...]:
    """What a turn or a change brings to the conversation: see `fold`."""
    return (ended.past or ()) if isinstance(ended, Looked) else (HistoryTurn(inputs, ended.outputs),)


def adopt(session: Session, ended: Ran | Looked | None, seq: int) -> object | None:
    """Let the session be what it was bound to by entry `seq`; gives the program that it runs from now on."""
    if not isinstance(ended, Looked) or ended.bound is None:
        return None
    bound, history = ended.bound, session.state.history
    session.record = bound.binding.on(session.record, seq)
    session.declared = bound.declared
    if bound.window != history.maxlen:
        session.state.history = Conversation(bound.window, bound.shown or ())
    return bound.program


def follows(session: Session, turn: Turn) -> bool:
    """Whether the live version is to be asked for before this turn runs."""
    policy = session.record.version_policy
    wanted = policy == "follow" or (policy == "follow_when_idle" and not session.begun)
    return wanted and turn.kind == "turn" and not turn.followed


def variables(session: Session) -> TurnVariables:
    """What a program is given of them."""
    if not session.declared:
        return TurnVariables.none()
    return TurnVariables(session.declared, session.record.own.values, session.state.variables)


def recorded(session: Session, changed: Values) -> Json:
    """What a turn's entry says of variables: all of them when it changed some, else which entry did so last."""
    if changed:
        return {"variables": merged(session.state.variables, changed)}
    return {"variables_at": session.state.variables_at} if session.state.variables_at else {}


def _written(session: Session, change: Turn, found: Looked) -> tuple[str, dict[str, Any]]:
    match change.kind:
        case "rewind":
            delta = {"to_turn": change.inputs["to_turn"], "last_turn": session.state.turn}
            return "rewind", {**delta, "variables": found.variables} if session.state.variables_at else delta
        case "variable":
            return "variable", _set(session, change.inputs)
        case _:
            assert found.bound is not None
            binding = found.bound.binding
            return binding.kind(Binding.of(session.record)), {"binding": asdict(binding)}


def _set(session: Session, inputs: Json) -> Json:
    values = checked(session.declared, inputs["values"])
    before = {} if inputs["replace"] else session.state.variables
    return {"values": values, "variables": merged(before, values)}


def _check_turn(to_turn: int, last: int) -> None:
    if to_turn > last:
        raise NotFound(f"There is no turn {to_turn} to go to; the last one of this session is {last}.")


def _check_unchanged(seen: int | None, at: int, what: str) -> None:
    if seen is not None and seen != at:
        raise PreconditionFailed(f"{what} changed since that was read; read it again, then send the change again.")
