"""What a session is bound to: its row says what its last entry of that kind said, from the same transaction on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from dspex_actors.errors import InUse
from dspex_actors.resources.binding import BINDING_KINDS, binding_of
from dspex_actors.resources.journal import Entry, Verdict
from dspex_actors.store.schema import program, session


def settle(connection: Connection, entries: Sequence[Entry], verdicts: Sequence[Verdict]) -> None:
    """Bring the rows in line with what was committed. Raises InUse where the program is gone: nothing is written."""
    for entry, verdict in zip(entries, verdicts, strict=True):
        if entry.kind in BINDING_KINDS and verdict is Verdict.COMMITTED:
            _bind(connection, entry)


def _bind(connection: Connection, entry: Entry) -> None:
    bound = binding_of(entry)
    there = select(program.c.uid).where(program.c.uid == bound.program_uid).with_for_update(read=True)
    if connection.scalar(there) is None:
        raise InUse(f"The program {bound.program_uid} was deleted while a session was bound to it. Try again.")
    values = {
        "program_uid": bound.program_uid, "program": bound.program, "version": bound.version, "lm": bound.lm,
        "on_busy": bound.on_busy, "version_policy": bound.version_policy, "changed": entry.seq,
    }  # fmt: skip
    # A repeated commit finds its own number; one that comes too late must not undo what came after it.
    same = (session.c.uid == entry.uid, session.c.seq == entry.seq)
    connection.execute(update(session).where(*same).values(values))
