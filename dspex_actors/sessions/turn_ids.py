"""The ids of all turns ever recorded, in three bytes each: a session must know a retry, and thousands are in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from zlib import crc32

WIDTH = 3
_WIDTH_BEFORE = 4


class TurnIds:
    """Says of an id that it is surely new, or that it may be recorded: then the journal is asked.

    One in 16 million ids for each that is held looks recorded and is not.

    >>> ids = TurnIds(["a", "b"])
    >>> "a" in ids, "c" in ids, len(ids.packed())
    (True, False, 6)
    """

    __slots__ = ("_sums",)

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._sums = bytearray()  # sorted; an array of numbers would take four bytes each, and more for its growth
        self.update(ids)

    @classmethod
    def unpacked(cls, packed: bytes) -> TurnIds:
        """The inverse of `packed`."""
        made = cls()
        made._sums = bytearray(packed)
        return made

    @classmethod
    def widened(cls, packed: bytes) -> TurnIds:
        """What was packed in four bytes each, the lowest first, as snapshots before version 3 have them."""
        made = cls()
        wide = (packed[start : start + _WIDTH_BEFORE] for start in range(0, len(packed), _WIDTH_BEFORE))
        made._sums = bytearray(b"".join(sorted({each[:0:-1] for each in wide})))
        return made

    def packed(self) -> bytes:
        """As bytes, the same on every machine."""
        return bytes(self._sums)

    def add(self, turn_id: str) -> None:
        """One more."""
        found = _sum(turn_id)
        place = self._place(found)
        if self._sums[place : place + WIDTH] != found:
            self._sums[place:place] = found

    def update(self, ids: Iterable[str]) -> None:
        """Many more: sorted once."""
        self._sums = bytearray(b"".join(sorted({*self._each(), *map(_sum, ids)})))

    def _each(self) -> Iterator[bytes]:
        return (bytes(self._sums[start : start + WIDTH]) for start in range(0, len(self._sums), WIDTH))

    def _place(self, found: bytes) -> int:
        """Where it is, or belongs."""
        sums, low, high = self._sums, 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if sums[WIDTH * middle : WIDTH * middle + WIDTH] < found:
                low = middle + 1
            else:
                high = middle
        return WIDTH * low

    def __contains__(self, turn_id: str) -> bool:
        found = _sum(turn_id)
        place = self._place(found)
        return self._sums[place : place + WIDTH] == found

    def __copy__(self) -> TurnIds:
        return TurnIds.unpacked(self.packed())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TurnIds) and self._sums == other._sums

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __len__(self) -> int:
        return len(self._sums) // WIDTH

    def __repr__(self) -> str:
        return f"TurnIds({len(self)})"


def _sum(turn_id: str) -> bytes:
    # Not to be forged it need not be: who makes ids that collide pays for a read of the journal with each.
    return crc32(turn_id.encode()).to_bytes(4)[:WIDTH]
