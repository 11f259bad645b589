"""The course of a session: which turn came after which, as its rewinds alone tell.

Turns are a tree. Every turn but the first ones has one that it came after: the one before it by number, unless the
session was rewound in between; then the one that the last rewind before it went to. The *conversation* after a turn is
the way from the root to that turn. It never changes: a rewind moves where the session stands, and nothing else.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Rewind(NamedTuple):
    """A rewind to turn `to` (0: the beginning), written when `last` was the number of the last turn."""

    last: int
    to: int


@dataclass(frozen=True)
class Course:
    """The turns of a session as a tree.

    Attributes:
        last: The number of the last turn ever.
        rewinds: All rewinds, in order.

    >>> course = Course(5, [Rewind(4, 2)])  # 1 2 3 4, back to 2, then 5
    >>> course.at, list(course.conversation(course.at)), list(course.conversation(4))
    (5, [(1, 2), (5, 5)], [(1, 4)])
    """

    last: int
    rewinds: Sequence[Rewind] = ()
    _after: dict[int, int] = field(init=False, repr=False, compare=False)
    _starts: list[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        after = {rewind.last + 1: rewind.to for rewind in self.rewinds}
        object.__setattr__(self, "_after", after)
        object.__setattr__(self, "_starts", sorted(after))

    @property
    def at(self) -> int:
        """The turn that the session stands at; 0 at the beginning."""
        return self._after.get(self.last + 1, self.last)

    def conversation(self, turn: int, newest: int | None = None) -> list[tuple[int, int]]:
        """The turns on the way to `turn`, in order, as ranges `(first, last)`; the last `newest` of them alone."""
        ranges: list[tuple[int, int]] = []
        left = turn if newest is None else newest
        for first, last in self._back_from(turn):
            if left <= 0:
                break
            ranges.append((max(first, last - left + 1), last))
            left -= last - first + 1
        return ranges[::-1]

    def left(self, turns: Sequence[int]) -> set[int]:
        """Those of the turns that are not in the present conversation."""
        present = self.conversation(self.at)
        return {turn for turn in turns if not any(first <= turn <= last for first, last in present)}

    def _back_from(self, turn: int) -> Iterator[tuple[int, int]]:
        # Ends: a rewind goes to a turn that was there when it was written, which is before `first`.
        while turn > 0:
            place = bisect_right(self._starts, turn)
            first = self._starts[place - 1] if place else 1
            yield first, turn
            turn = self._after[first] if place else 0
