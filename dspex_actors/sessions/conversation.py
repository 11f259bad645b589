"""The end of a session's conversation: as much of it as its program is shown."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator

import orjson

from dspex_actors.programs.call import HistoryTurn

_LEVEL = 1


class Conversation:
    """The last turns, oldest first, `maxlen` at most.

    It is most of what a session takes of memory. While nobody talks to the session it can be folded to a tenth of that,
    which costs some 0.1 ms when somebody looks again.
    """

    __slots__ = ("_folded", "_turns", "maxlen")

    def __init__(self, maxlen: int, turns: Iterable[HistoryTurn] = ()) -> None:
        self.maxlen = maxlen
        self._turns: deque[HistoryTurn] | None = deque(turns, maxlen=maxlen)
        self._folded = b""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.maxlen}, {list(self)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Conversation):
            return NotImplemented
        return self.maxlen == other.maxlen and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __iter__(self) -> Iterator[HistoryTurn]:
        return iter(self._unfolded())

    def __len__(self) -> int:
        return len(self._unfolded())

    def clear(self) -> None:
        """Forget all of it."""
        self._turns, self._folded = deque(maxlen=self.maxlen), b""

    def extend(self, turns: Iterable[HistoryTurn]) -> None:
        """These came next; the oldest give way."""
        self._unfolded().extend(turns)

    def fold(self) -> None:
        """Take little memory until somebody looks."""
        if self._turns is not None:
            plain = orjson.dumps([(turn.inputs, turn.outputs) for turn in self._turns])
            self._turns, self._folded = None, zlib.compress(plain, _LEVEL)

    def _unfolded(self) -> deque[HistoryTurn]:
        if self._turns is None:
            turns = orjson.loads(zlib.decompress(self._folded))
            self._turns, self._folded = deque((HistoryTurn(*turn) for turn in turns), maxlen=self.maxlen), b""
        return self._turns
