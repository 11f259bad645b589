"""Letting turns in, a few a tick of the loop, the sessions taking turns: a flood in one holds up no other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

A_TICK = 8
"""Items that are let in before the loop looks at what else there is to do."""


class Intake(Generic[T]):
    """Lines of items, by name. Within a line the order is kept; the lines take turns, one item each.

    What comes while nobody waits is let in at once. `let_in` must not raise.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, let_in: Callable[[T], None]) -> None:
        self._loop = loop
        self._let_in = let_in
        self._lines: dict[str, deque[T]] = {}
        self._left = A_TICK

    def __contains__(self, line: str) -> bool:
        """Whether items of that line wait."""
        return line in self._lines

    def put(self, line: str, item: T) -> None:
        """Let the item in, now or soon."""
        if self._left == A_TICK:
            self._loop.call_soon(self._tick)
        if self._left and not self._lines:
            self._left -= 1
            self._let_in(item)
        else:
            self._lines.setdefault(line, deque()).append(item)

    def _tick(self) -> None:
        self._left = A_TICK
        while self._lines and self._left:
            self._left -= 1
            name = next(iter(self._lines))
            line = self._lines.pop(name)
            item = line.popleft()
            if line:
                self._lines[name] = line  # behind the others
            self._let_in(item)
        if self._left < A_TICK:
            self._loop.call_soon(self._tick)
