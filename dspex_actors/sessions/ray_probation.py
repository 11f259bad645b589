"""Probation: a standby runs the one turn that may have killed other hosts, and nothing else meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import ray

from dspex_actors.errors import NoCapacity
from dspex_actors.sessions.ray_book import Book
from dspex_actors.sessions.ray_moves import Moves
from dspex_actors.sessions.units import idle_hosts

log = logging.getLogger(__name__)

MOVE_S = 10.0
"""How long the session may take to come; its turn waits, so nothing holds it."""


class Probations:
    """Puts sessions on probation, the first that asks first, as many at a time as there are standbys.

    A session leaves its host of itself when its turn has ended (`Suspects`); then that is a standby again. If it was
    killed its session is its shard's again, and the record says what happened.

    Args:
        book: What placement knows.
        moves: Moves sessions.
        settle: Looks at the whole again.
    """

    def __init__(self, book: Book, moves: Moves, settle: Callable[[], Awaitable[None]]) -> None:
        self._book, self._moves, self._settle = book, moves, settle
        self._line = asyncio.Lock()

    async def put(self, uid: str, shard: int, patience_s: float) -> None:
        """See `Leader.put_on_probation`."""
        if uid in self._book.probation.values():
            return
        try:
            async with asyncio.timeout(patience_s):
                name = await self._take(uid)
                if name is None:
                    return
        except TimeoutError:
            raise NoCapacity("No host is free to run a suspect turn alone. Try again.", retry_after_s=1) from None
        log.warning("host %s runs one turn of session %s alone: it was running at two losses", name, uid)
        try:
            await self._book.handles[name].put_on_probation.remote(uid, self._book.term)
            await self._moves.migrate(uid, shard, name, MOVE_S)
        finally:
            self._book.spawn(self._see_off(name))

    def resume(self, name: str, uid: str) -> None:
        """A host says that it is on probation: an earlier placement had put it there."""
        self._book.probation[name] = uid
        self._book.spawn(self._see_off(name))

    async def _take(self, uid: str) -> str | None:
        """The next host that is free; None if the session has one meanwhile."""
        async with self._line:
            while uid not in self._book.probation.values():
                news = self._book.news
                async with self._book.lock:  # or a lost host's units may be on their way to it
                    if idle := idle_hosts(self._book.hosts(), self._book.units):
                        self._book.probation[idle[-1]] = uid
                        return idle[-1]
                await news.wait()
        return None

    async def _see_off(self, name: str) -> None:
        """When the session has left, or the host is lost, nobody is there on probation any more."""
        book = self._book
        while name in book.alive and book.units.of(name):
            await book.news.wait()
        with contextlib.suppress(ray.exceptions.RayError, KeyError):
            await book.handles[name].put_on_probation.remote(None, book.term)
        del book.probation[name]
        await self._settle()
