"""A session's state: the fold of its journal. Replay runs nothing; it only adds up what was committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from dspex_actors.errors import StoreUnavailable
from dspex_actors.programs.call import HistoryTurn
from dspex_actors.resources.journal import FORMAT_VERSION, Entry, Memory
from dspex_actors.resources.session import SessionRecord


@dataclass(slots=True)
class State:
    """What a session remembers.

    Attributes:
        seq: Number of the last journal entry.
        turn: Number of the last turn.
        history: The last turns, as many as the program's `history_window`.
        turn_ids: The ids of all recorded turns: what a retry is looked up in.
    """

    history: deque[HistoryTurn]
    seq: int = 0
    turn: int = 0
    turn_ids: set[str] = field(default_factory=set)


def empty(history_window: int) -> State:
    """The state of a session without entries."""
    return State(history=deque(maxlen=history_window))


def replay(entries: Iterable[Entry], history_window: int) -> State:
    """The state after these entries, which start at number 1.

    Raises:
        StoreUnavailable: An entry is of a format that this program does not know.
    """
    state = empty(history_window)
    for entry in entries:
        fold(state, entry, exchange(entry))
    return state


def remembered(record: SessionRecord, memory: Memory, history_window: int) -> State:
    """The same state from less: a window of entries, the numbers of the session's row, and all turn ids.

    Raises:
        StoreUnavailable: An entry is of a format that this program does not know.
    """
    history = deque(map(exchange, memory.recent), maxlen=history_window)
    return State(history, record.seq, record.turns, memory.turn_ids)


def fold(state: State, entry: Entry, past: HistoryTurn) -> None:
    """Add one committed turn to the state.

    Raises:
        AssertionError: The numbers have a gap: an invariant is broken, and the session must restart from its journal.
    """
    assert entry.seq == state.seq + 1, f"entry {entry.seq} after {state.seq}"
    assert entry.turn == state.turn + 1, f"turn {entry.turn} after {state.turn}"
    state.seq, state.turn = entry.seq, entry.turn
    state.history.append(past)
    if entry.turn_id is not None:
        state.turn_ids.add(entry.turn_id)


def exchange(entry: Entry) -> HistoryTurn:
    """What a turn adds to the conversation. Raises StoreUnavailable for a format that this program does not know."""
    if entry.format_version > FORMAT_VERSION:
        raise StoreUnavailable(
            f"Entry {entry.seq} of this session has format {entry.format_version}; this program knows up to "
            f"{FORMAT_VERSION}. Run the newer program that wrote it."
        )
    delta = orjson.loads(entry.delta)
    return HistoryTurn(delta["inputs"], delta["outputs"])
