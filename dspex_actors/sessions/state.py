"""A session's state: the fold of its journal. Replay runs nothing; it only adds up what was committed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from dspex_actors.errors import StoreUnavailable
from dspex_actors.programs.call import HistoryTurn
from dspex_actors.resources.journal import Entry, check_format, rewind_of
from dspex_actors.resources.variables import Values
from dspex_actors.sessions.conversation import Conversation
from dspex_actors.sessions.turn_ids import TurnIds


@dataclass(slots=True)
class Tail:
    """What came after the last snapshot: entries, their bytes, and the size of that snapshot (0: none)."""

    entries: int = 0
    bytes: int = 0
    behind_bytes: int = 0

    def add(self, entry: Entry) -> None:
        """One more."""
        self.entries += 1
        self.bytes += len(entry.delta)


@dataclass(slots=True)
class State:
    """What a session remembers.

    Attributes:
        seq: Number of the last journal entry.
        turn: Number of the last turn.
        history: The last turns of the conversation, as many as the program's `history_window`.
        turn_ids: The ids of all recorded turns and rewinds: what a retry is looked up in.
        variables: The values that were set.
        variables_at: Number of the last entry that changed them; 0 while none has.
        tail: What a snapshot would save an activation from reading.
    """

    history: Conversation
    seq: int = 0
    turn: int = 0
    turn_ids: TurnIds = field(default_factory=TurnIds)
    variables: Values = field(default_factory=dict)
    variables_at: int = 0
    tail: Tail = field(default_factory=Tail, compare=False)

    @classmethod
    def of(cls, history_window: int, history: Iterable[HistoryTurn] = ()) -> State:
        """A state that shows this conversation, and has nothing else yet."""
        return cls(Conversation(history_window, history))


def empty(history_window: int) -> State:
    """The state of a session without entries."""
    return State.of(history_window)


def replay(entries: Iterable[Entry], history_window: int) -> State:
    """The state after these entries, which start at number 1: the definition that every shorter way must agree with.

    Raises:
        StoreUnavailable: An entry is of a format or kind that this program does not know.
    """
    state, after = empty(history_window), {0: tuple[HistoryTurn, ...]()}
    for entry in entries:
        check_format(entry)
        match entry.kind:
            case "turn":
                fold(state, entry, [exchange(entry)])
                after[state.turn] = tuple(state.history)
            case "rewind":
                fold(state, entry, after[rewind_of(entry).to])
            case _:
                fold(state, entry, ())
    return state


def fold(state: State, entry: Entry, past: Iterable[HistoryTurn]) -> None:
    """Add one committed entry to the state.

    Args:
        state: What all earlier entries add up to.
        entry: The next one.
        past: What it brings to the conversation: a turn itself; a rewind the whole conversation, or its end, as it was
            after the turn that it goes to; anything else nothing.

    Raises:
        AssertionError: The numbers have a gap: an invariant is broken, and the session must restart from its journal.
        StoreUnavailable: The entry is of a kind that this program does not know.
    """
    assert entry.seq == state.seq + 1, f"entry {entry.seq} after {state.seq}"
    match entry.kind:
        case "turn":
            assert entry.turn == state.turn + 1, f"turn {entry.turn} after {state.turn}"
            state.turn = entry.turn
        case "rewind":
            state.history.clear()
        case "fork" | "variable" | "bind" | "model":
            pass
        case _:
            raise unknown_kind(entry)
    state.seq = entry.seq
    state.tail.add(entry)
    if (values := values_of(entry)) is not None:
        state.variables, state.variables_at = values, entry.seq
    state.history.extend(past)
    if entry.turn_id is not None:
        state.turn_ids.add(entry.turn_id)


def exchange(entry: Entry) -> HistoryTurn:
    """What a turn adds to the conversation. Raises StoreUnavailable for a format that this program does not know."""
    check_format(entry)
    delta = orjson.loads(entry.delta)
    return HistoryTurn(delta["inputs"], delta["outputs"])


def values_of(entry: Entry) -> Values | None:
    """All set values after an entry that changed them, or put them back; None after any other one."""
    if b'"variables":' not in entry.delta:
        return None  # most have none, and need not be parsed for that
    values: Values | None = orjson.loads(entry.delta).get("variables")
    return values


def unknown_kind(entry: Entry) -> StoreUnavailable:
    """A newer program's entry, which nobody may guess at."""
    return StoreUnavailable(
        f"Entry {entry.seq} of this session is a {entry.kind}, which this program does not know. Run a newer one."
    )
