"""Rewinds: what the session's core does with one where a turn would run its program.

A rewind waits, expires, is joined, committed and replayed as a turn is. Its conversation is read before it is written:
the past of a turn never changes, so what was read is still true when the entry is in the journal.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import orjson

from dspex_actors.clock import Clock
from dspex_actors.errors import DspexError, Internal, NotFound
from dspex_actors.programs.call import HistoryTurn
from dspex_actors.resources.journal import Entry
from dspex_actors.sessions.events import Json, Look, Looked, Raised, Ran
from dspex_actors.sessions.state import exchange
from dspex_actors.store.port import Store

if TYPE_CHECKING:
    from dspex_actors.sessions.session import Session, Turn

log = logging.getLogger(__name__)


def look(rewind: Turn) -> Look:
    """What starts it."""
    return Look(rewind.token, rewind.inputs["to_turn"])


def missing_turn(rewind: Turn, last: int) -> NotFound | None:
    """Why it cannot go there; None where it can."""
    to_turn = rewind.inputs["to_turn"]
    if to_turn <= last:
        return None
    return NotFound(f"There is no turn {to_turn} to go to; the last one of this session is {last}.")


def rewind_entry(session: Session, rewind: Turn, now_us: int) -> Entry:
    """What it writes: numbered after the last entry, without a turn's number."""
    delta = {"to_turn": rewind.inputs["to_turn"], "last_turn": session.state.turn}
    return Entry(
        uid=session.record.uid, seq=session.state.seq + 1, kind="rewind", turn=None, turn_id=rewind.turn_id,
        body_hash=rewind.body_hash, delta=orjson.dumps(delta), at_us=now_us, unit=session.record.unit,
        epoch=session.epoch,
    )  # fmt: skip


def past_of(inputs: Json, ended: Ran | Looked) -> tuple[HistoryTurn, ...]:
    """What a turn or a rewind brings to the conversation: see `fold`."""
    return ended.past if isinstance(ended, Looked) else (HistoryTurn(inputs, ended.outputs),)


def read_past(store: Store, clock: Clock, session: Session, wanted: Look) -> Looked | Raised:
    """The end of the conversation after a turn, as much as the session shows to its program. Blocks; raises nothing:
    somebody waits."""
    window = session.state.history.maxlen or 0
    try:
        entries = store.conversation(session.record.uid, wanted.to_turn, window) if window else ()
        return Looked(wanted.token, tuple(map(exchange, entries)), clock.now_us())
    except DspexError as error:
        return Raised(wanted.token, error, clock.now_us())
    except Exception:
        log.exception("the past of session %s cannot be read", session.record.uid)
        fault = Internal("The turns to go back to could not be read. The log has the cause.")
        return Raised(wanted.token, fault, clock.now_us())
