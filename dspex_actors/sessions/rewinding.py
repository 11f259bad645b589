"""Rewinds: what the session's core does with one where a turn would run its program.

A rewind waits, expires, is joined, committed and replayed as a turn is. Its conversation is read before it is written:
the past of a turn never changes, so what was read is still true when the entry is in the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from dspex_actors.errors import NotFound
from dspex_actors.programs.call import HistoryTurn
from dspex_actors.resources.journal import Entry
from dspex_actors.sessions.events import Json, Look, Looked, Ran

if TYPE_CHECKING:
    from dspex_actors.sessions.session import Session, Turn


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
