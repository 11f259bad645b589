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

from dspex_actors.errors import Gone


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
        removed: The turns up to this number have been removed (0: none).

    >>> course = Course(5, [Rewind(4, 2)])  # 1 2 3 4, back to 2, then 5
    >>> course.at, list(course.conversation(course.at)), list(course.conversation(4))
    (5, [(1, 2), (5, 5)], [(1, 4)])
    """

    last: int
    rewinds: Sequence[Rewind] = ()
    removed: int = 0
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

    def context(self, window: int) -> set[int]:
        """The removed turns that a program is still shown: by those that are left, or where the session stands.

        Args:
            window: How many turns it is shown.
        """
        starts = [(start, to) for start, to in self._after.items() if start > self.removed]
        if self.removed + 1 not in self._after:
            starts.append((self.removed + 1, self.removed))
        # A turn is shown with those before it; where no turn has followed yet, as many as there may be are.
        ends = [(to, window - (start <= self.last)) for start, to in starts if to <= self.removed]
        ranges = [pair for to, newest in ends for pair in self.conversation(to, newest)]
        return {turn for first, last in ranges for turn in range(first, last + 1)}

    def check_kept(self, turn: int) -> None:
        """Raises Gone for a turn that has been removed; 0 is the beginning, and always there."""
        if not 0 < turn <= self.removed:
            return
        left = f"the oldest one left is {self.removed + 1}" if self.removed < self.last else "no turn is left"
        raise Gone(
            f"Turn {turn} was removed, as the retention of this tenant says; {left}. The beginning (0) is always there."
        )

    def _back_from(self, turn: int) -> Iterator[tuple[int, int]]:
        # Ends: a rewind goes to a turn that was there when it was written, which is before `first`.
        while turn > 0:
            place = bisect_right(self._starts, turn)
            first = self._starts[place - 1] if place else 1
            yield first, turn
            turn = self._after[first] if place else 0
