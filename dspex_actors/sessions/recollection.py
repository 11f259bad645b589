"""What an activation adds up: a snapshot and the entries after it, or all entries where there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from dspex_actors.programs.call import HistoryTurn
from dspex_actors.resources.course import Course, Rewind
from dspex_actors.resources.journal import Entry, check_format, rewind_of
from dspex_actors.resources.variables import Values
from dspex_actors.sessions.state import State, exchange, unknown_kind, values_of
from dspex_actors.sessions.turn_ids import TurnIds

log = logging.getLogger(__name__)

Ranges = Sequence[tuple[int, int]]


@dataclass(slots=True)
class Recollection:
    """What a session's entries come to, up to one of them.

    Attributes:
        seq: Number of the last entry.
        turn: Number of the last turn.
        rewinds: All of them: with the turns' numbers they tell every conversation (`resources/course.py`).
        turns: Turns at hand, by number: those of the snapshot, and those after it. Others are read when they are shown.
        turn_ids: The ids of all turns and rewinds.
        variables: The values that were set, and the entry that changed them last.
    """

    seq: int = 0
    turn: int = 0
    rewinds: list[Rewind] = field(default_factory=list)
    turns: dict[int, HistoryTurn | Entry] = field(default_factory=dict)
    turn_ids: TurnIds = field(default_factory=TurnIds)
    variables: Values = field(default_factory=dict)
    variables_at: int = 0

    def add(self, entries: Iterable[Entry]) -> None:
        """The next entries, in order.

        Raises:
            AssertionError: The numbers have a gap.
            StoreUnavailable: An entry is of a format or kind that this program does not know.
        """
        ids: list[str] = []
        for entry in entries:
            assert entry.seq == self.seq + 1, f"entry {entry.seq} after {self.seq}"
            self._take(entry)
            self.seq = entry.seq
            if (values := values_of(entry)) is not None:
                self.variables, self.variables_at = values, entry.seq
            if entry.turn_id is not None:
                ids.append(entry.turn_id)
        if ids:
            self.turn_ids.update(ids)

    def _take(self, entry: Entry) -> None:
        check_format(entry)
        match entry.kind:
            case "turn":
                assert entry.turn == self.turn + 1, f"turn {entry.turn} after {self.turn}"
                self.turn = entry.turn
                if entry.has_exchange:
                    self.turns[entry.turn] = entry  # parsed when it is shown: most are not
            case "rewind":
                self.rewinds.append(rewind_of(entry))
            case "fork" | "variable" | "bind" | "model":
                pass
            case _:
                raise unknown_kind(entry)

    def conversation(self, window: int) -> list[int]:
        """The last turns of the present conversation, by number, in order."""
        return [turn for first, last in self._ranges(window) for turn in range(first, last + 1)]

    def at_hand(self, window: int) -> list[int]:
        """The same, back to where retention has removed one: only a longer window than there was asks for that."""
        present = reversed(self.conversation(window))
        return list(takewhile(self.turns.__contains__, present))[::-1]

    def complete(self, window: int, read: Callable[[Ranges], Sequence[Entry]]) -> None:
        """Have at hand what is shown of the conversation, and nothing else."""
        ranges = self._ranges(window)
        missing = [pair for pair in ranges if any(turn not in self.turns for turn in range(pair[0], pair[1] + 1))]
        if missing:
            found = (entry for entry in read(missing) if entry.has_exchange)
            self.turns.update({entry.turn: entry for entry in found if entry.turn is not None})
        self.turns = {turn: self.turns[turn] for turn in self.at_hand(window)}

    def shown(self, turn: int) -> HistoryTurn:
        """A turn at hand."""
        found = self.turns[turn]
        return exchange(found) if isinstance(found, Entry) else found

    def state(self, window: int) -> State:
        """The session's state; what it shows of the conversation must be at hand."""
        made = State.of(window, map(self.shown, self.at_hand(window)))
        made.seq, made.turn, made.turn_ids = self.seq, self.turn, self.turn_ids
        made.variables, made.variables_at = self.variables, self.variables_at
        return made

    def forget_early_turns(self, kept: int) -> None:
        """Of very many at hand keep the last: others can be read again."""
        if len(self.turns) > kept:
            self.turns = dict(list(self.turns.items())[-kept:])

    def _ranges(self, window: int) -> Ranges:
        course = Course(self.turn, self.rewinds)
        return course.conversation(course.at, window)
