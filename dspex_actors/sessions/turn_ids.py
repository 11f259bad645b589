"""The ids of all turns ever recorded, in three bytes each: a session must know a retry, and thousands are in memory.

Where there are many, two bytes each: the first byte of a sum is its page, and what is kept besides is how many a page
has.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from zlib import crc32

WIDTH = 3
PAGED = 640
"""From so many on the pages' numbers take less room than the byte of each id."""
_PAGES = 256
_PAGE_LIMIT = 0xFFFF
_WIDTH_BEFORE = 4


class TurnIds:
    """Says of an id that it is surely new, or that it may be recorded: then the journal is asked.

    One in 16 million ids for each that is held looks recorded and is not.

    >>> ids = TurnIds(["a", "b"])
    >>> "a" in ids, "c" in ids, len(ids.packed())
    (True, False, 6)
    """

    __slots__ = ("_pages", "_sums")

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._sums = bytearray()  # sorted; an array of numbers would take four bytes each, and more for its growth
        self._pages: array[int] | None = None
        self.update(ids)

    @classmethod
    def unpacked(cls, packed: bytes) -> TurnIds:
        """The inverse of `packed`."""
        made = cls()
        made._take(packed)
        return made

    @classmethod
    def widened(cls, packed: bytes) -> TurnIds:
        """What was packed in four bytes each, the lowest first, as snapshots before version 3 have them."""
        wide = (packed[start : start + _WIDTH_BEFORE] for start in range(0, len(packed), _WIDTH_BEFORE))
        return cls.unpacked(b"".join(sorted({each[:0:-1] for each in wide})))

    def packed(self) -> bytes:
        """As bytes, the same on every machine: all sums in order, three bytes each."""
        if self._pages is None:
            return bytes(self._sums)
        packed = bytearray(WIDTH * len(self))
        packed[0::WIDTH] = b"".join(bytes([page]) * number for page, number in enumerate(self._pages))
        packed[1::WIDTH], packed[2::WIDTH] = self._sums[0::2], self._sums[1::2]
        return bytes(packed)

    def _take(self, packed: bytes) -> None:
        """Hold these, and nothing else."""
        if len(packed) < PAGED * WIDTH:
            self._sums, self._pages = bytearray(packed), None
            return
        self._sums = bytearray(len(packed) // WIDTH * 2)
        self._sums[0::2], self._sums[1::2] = packed[1::WIDTH], packed[2::WIDTH]
        numbers = [packed[0::WIDTH].count(page) for page in range(_PAGES)]
        self._pages = array("H" if max(numbers) < _PAGE_LIMIT else "I", numbers)

    def add(self, turn_id: str) -> None:
        """One more."""
        found = _sum(turn_id)
        place, is_there = self._find(found)
        if is_there:
            return
        if self._pages is None:
            self._sums[place:place] = found
            if len(self) >= PAGED:
                self._take(bytes(self._sums))
            return
        self._sums[place:place] = found[1:]
        if self._pages[found[0]] == _PAGE_LIMIT:
            self._pages = array("I", self._pages)
        self._pages[found[0]] += 1

    def update(self, ids: Iterable[str]) -> None:
        """Many more: sorted once."""
        if more := set(map(_sum, ids)):
            self._take(b"".join(sorted(more.union(self._each()))))

    def _each(self) -> Iterator[bytes]:
        packed = self.packed()
        return (packed[start : start + WIDTH] for start in range(0, len(packed), WIDTH))

    def _find(self, found: bytes) -> tuple[int, bool]:
        """Where it is, or belongs, and whether it is there."""
        sums, low, high, width = self._sums, 0, len(self), WIDTH
        if self._pages is not None:
            low = sum(self._pages[: found[0]])
            high, width, found = low + self._pages[found[0]], WIDTH - 1, found[1:]
        end = high
        while low < high:
            middle = (low + high) // 2
            if sums[width * middle : width * middle + width] < found:
                low = middle + 1
            else:
                high = middle
        return width * low, low < end and sums[width * low : width * low + width] == found

    def __contains__(self, turn_id: str) -> bool:
        return self._find(_sum(turn_id))[1]

    def __copy__(self) -> TurnIds:
        return TurnIds.unpacked(self.packed())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TurnIds) and self.packed() == other.packed()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __len__(self) -> int:
        return len(self._sums) // (WIDTH if self._pages is None else WIDTH - 1)

    def __repr__(self) -> str:
        return f"TurnIds({len(self)})"


def _sum(turn_id: str) -> bytes:
    # Not to be forged it need not be: who makes ids that collide pays for a read of the journal with each.
    return crc32(turn_id.encode()).to_bytes(4)[:WIDTH]
