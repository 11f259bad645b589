"""Reading a session from the store: the newest snapshot that is sound, and what came after it."""

from __future__ import annotations

import logging
from functools import partial
from typing import NamedTuple

from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.journal import Memory
from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.recollection import Recollection
from dspex_actors.sessions.snapshot import DamagedSnapshot, decode
from dspex_actors.sessions.state import State, Tail
from dspex_actors.store.port import Store

log = logging.getLogger(__name__)

TURNS_AT_HAND = 1_000


class Read(NamedTuple):
    """What was read: all that the entries come to, what of it is not in a snapshot, and attempts that failed."""

    found: Recollection
    tail: Tail
    attempts: dict[str, int]

    def state(self, window: int) -> State:
        """The session's state."""
        made = self.found.state(window)
        made.tail = self.tail
        return made


def recollect(store: Store, record: SessionRecord, window: int) -> Read:
    """All that a session's entries come to, with the last `window` turns of the conversation. Blocks.

    Args:
        store: Where it is.
        record: The session's row of this moment.
        window: How many turns are shown.

    Raises:
        NotFound: The session was deleted meanwhile.
        StoreUnavailable: The store does not answer, or a newer program wrote there what this one does not know.
    """
    found, memory = _begin(store, record)
    tail = Tail(behind_bytes=memory.snapshot.size if memory.snapshot is not None else 0)
    entries = memory.entries
    while entries and found.seq < record.seq:
        entries = [entry for entry in entries if entry.seq <= record.seq]
        found.add(entries)
        for entry in entries:
            tail.add(entry)
        if found.seq < record.seq:
            found.forget_early_turns(TURNS_AT_HAND)
            entries = store.tail(record.uid, found.seq)
    if found.seq != record.seq or found.turn != record.turns:
        store.load_session(record.uid)  # raises NotFound, if that is why
        msg = f"The journal of {record.uid} ends at {found.seq}, and should at {record.seq}. Restore it from a backup."
        raise StoreUnavailable(msg)
    found.complete(window, partial(store.read_turns, record.uid, others=record.seq - record.turns))
    return Read(found, tail, memory.attempts)


def _begin(store: Store, record: SessionRecord) -> tuple[Recollection, Memory]:
    """The newest sound snapshot; without any, the beginning: more to read, and never wrong."""
    at_most = record.seq
    while True:
        memory = store.memory(record.uid, at_most)
        if memory.snapshot is None:
            return Recollection(), memory
        try:
            return decode(memory.snapshot), memory
        except DamagedSnapshot as damage:
            log.error("%s is damaged and left out: what it says is read from what came before it", damage)
            at_most = memory.snapshot.seq - 1
