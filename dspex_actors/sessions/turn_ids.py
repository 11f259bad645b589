"""The ids of all turns ever recorded, in four bytes each: a session must know a retry, and thousands wait in memory."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from zlib import crc32


class TurnIds:
    """Says of an id that it is surely new, or that it may be recorded: then the journal is asked.

    One in 4 billion ids for each that is held looks recorded and is not.

    >>> ids = TurnIds(["a", "b"])
    >>> "a" in ids, "c" in ids, len(ids.packed())
    (True, False, 8)
    """

    __slots__ = ("_sums",)

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._sums = array("I", sorted({_sum(turn_id) for turn_id in ids}))

    @classmethod
    def unpacked(cls, packed: bytes) -> TurnIds:
        """The inverse of `packed`."""
        made = cls()
        made._sums.frombytes(packed)
        made._swap()
        return made

    def packed(self) -> bytes:
        """As bytes, the same on every machine."""
        return TurnIds.__copy__(self)._swap().tobytes()

    def add(self, turn_id: str) -> None:
        """One more."""
        found = _sum(turn_id)
        place = bisect_left(self._sums, found)
        if place == len(self._sums) or self._sums[place] != found:
            self._sums.insert(place, found)

    def update(self, ids: Iterable[str]) -> None:
        """Many more: sorted once."""
        self._sums = array("I", sorted({*self._sums, *map(_sum, ids)}))

    def __contains__(self, turn_id: str) -> bool:
        found = _sum(turn_id)
        place = bisect_left(self._sums, found)
        return place < len(self._sums) and self._sums[place] == found

    def __copy__(self) -> TurnIds:
        made = TurnIds()
        made._sums = self._sums[:]
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TurnIds) and self._sums == other._sums

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __len__(self) -> int:
        return len(self._sums)

    def __repr__(self) -> str:
        return f"TurnIds({len(self._sums)})"

    def _swap(self) -> array[int]:
        if sys.byteorder == "big":
            self._sums.byteswap()
        return self._sums


def _sum(turn_id: str) -> int:
    # Not to be forged it need not be: who makes ids that collide pays for a read of the journal with each.
    return crc32(turn_id.encode())
