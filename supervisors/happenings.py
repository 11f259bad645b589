"""The event stream: what happens to children, handed to those who listen, none of whom can hold the supervisor up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from supervisors.observe import Happening

KEPT: Final = 1024
"""How many happenings wait for one reader; of more, the oldest go."""


class Happenings:
    """An async iterator over what happened, oldest first; it ends with the supervisor.

    A reader that falls more than 1,024 behind loses the oldest. `dropped` says how many it has lost so far, by the time
    when it reads what came after them.
    """

    def __init__(self, feed: Feed) -> None:
        self.dropped = 0
        self._feed = feed
        self._kept: deque[Happening] = deque(maxlen=KEPT)
        self._news = asyncio.Event()
        self._over = False

    def __aiter__(self) -> Happenings:
        return self

    async def __anext__(self) -> Happening:
        while not self._kept:
            if self._over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._kept.popleft()

    def close(self) -> None:
        """Hear no more; what waits can still be read."""
        self._feed.leave(self.put)
        self.end()

    def put(self, happening: Happening) -> None:
        """The feed's side: one more."""
        self.dropped += len(self._kept) == KEPT
        self._kept.append(happening)
        self._news.set()

    def end(self) -> None:
        """The feed's side: the last one was told."""
        self._over = True
        self._news.set()


class Feed:
    """Tells all listeners."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Happening], None]] = []
        self._streams: list[Happenings] = []
        self._over = False

    @property
    def has_listeners(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def listen(self, told: Callable[[Happening], None]) -> None:
        """Call it with everything from now on; it must not raise."""
        self._listeners.append(told)

    def leave(self, told: Callable[[Happening], None]) -> None:
        """Call it no more."""
        if told in self._listeners:
            self._listeners.remove(told)
        self._streams = [stream for stream in self._streams if stream.put != told]

    def subscribe(self) -> Happenings:
        """A stream of what happens from now on."""
        stream = Happenings(self)
        self._streams.append(stream)
        if self._over:
            stream.end()
        else:
            self.listen(stream.put)
        return stream

    def tell(self, happening: Happening) -> None:
        """Tell everybody."""
        for told in tuple(self._listeners):
            told(happening)

    def close(self) -> None:
        """Nothing will happen any more."""
        self._over = True
        for stream in self._streams:
            stream.end()
