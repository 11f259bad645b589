"""The event stream of a supervisor actor: what it keeps for readers, and a reader in another process."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass
from typing import Any

from ray.exceptions import ActorUnavailableError, RayActorError

from supervisors.happenings import KEPT
from supervisors.observe import Happening

_POLL_S = 10.0
_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Batch:
    """An answer to a reader: the happenings up to number `upto` of this life of the supervisor.

    `dropped` are those after the reader's last that are no longer kept; `over` says that no more will come.
    """

    life: str
    upto: int
    happenings: tuple[Happening, ...] = ()
    dropped: int = 0
    over: bool = False


class Journal:
    """The last 1,024 happenings of one life of a supervisor, numbered."""

    def __init__(self) -> None:
        self._life = secrets.token_hex(8)
        self._kept: deque[Happening] = deque(maxlen=KEPT)
        self._upto = 0
        self._over = False
        self._news = asyncio.Event()

    def put(self, happening: Happening) -> None:
        """One more."""
        self._upto += 1
        self._kept.append(happening)
        self._tell()

    def close(self) -> None:
        """No more will come."""
        self._over = True
        self._tell()

    def now(self) -> Batch:
        """Where a reader begins who wants what comes."""
        return Batch(self._life, self._upto, over=self._over)

    async def after(self, life: str, number: int) -> Batch:
        """What came after that number, as soon as there is something, at the latest after 10 s.

        A reader of a former life gets this one from its beginning.
        """
        number = number if life == self._life else 0
        if number == self._upto and not self._over:
            try:
                await asyncio.wait_for(self._news.wait(), _POLL_S)
            except TimeoutError:
                return self.now()
        new = self._upto - number
        kept = tuple(self._kept)[-new:] if new else ()
        return Batch(self._life, self._upto, kept, new - len(kept), self._over)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class RayHappenings:
    """An async iterator over what happens to the children of a supervisor actor; it ends with the supervisor.

    It goes on with the next life of a supervisor that Ray runs again, with what that has taken over. A reader that
    falls more than 1,024 behind loses the oldest: `dropped` says how many. What a process that was killed had not yet
    told is lost with it, and not counted.
    """

    def __init__(self, handle: Any) -> None:
        self.dropped = 0
        self._handle = handle
        self._asked = handle.happened.remote()
        self._kept: deque[Happening] = deque()
        self._last = Batch("", 0)

    def __aiter__(self) -> RayHappenings:
        return self

    async def __anext__(self) -> Happening:
        while not self._kept:
            if self._last.over:
                raise StopAsyncIteration
            await self._poll()
        return self._kept.popleft()

    async def _poll(self) -> None:
        try:
            self._last = await self._asked
            self._kept.extend(self._last.happenings)
            self.dropped += self._last.dropped
        except ActorUnavailableError:
            await asyncio.sleep(_AGAIN_S)
        except RayActorError:
            raise StopAsyncIteration from None
        self._asked = self._handle.happened.remote(self._last.life, self._last.upto)
