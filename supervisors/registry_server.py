"""The keeper of a cluster's registries and groups, free of Ray: one writer, many local copies.

Operations that arrive together are carried out in order, written together, and only then answered and published: what
anybody has seen survives a crash. Copies follow by long polling: each answer brings every change since the version that
the copy has, or all there is if that is too long ago or of a former life.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from supervisors.entries import Add, Change, Died, Holder, NodeLost, Operation
from supervisors.errors import StaleEpoch
from supervisors.registry_core import Directory
from supervisors.registry_journal import Journal, Superseded

_HISTORY: Final = 4096
_POLL_S: Final = 20.0

Version = tuple[int, int]
"""The keeper's term, and how many commits it has made in it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a copy does not have yet: `whole` says that it is all there is, and not only what is new."""

    version: Version
    changes: tuple[Change, ...]
    whole: bool = False


_Asked = tuple[Sequence[Operation], asyncio.Future[tuple[Version, list[Any]]] | None]


class Watch(Protocol):
    """Who lives."""

    async def alive(self, who: Holder, died: Callable[[], None]) -> bool:
        """Whether this very life is going on; if so, `died` is called once when it ends."""
        ...

    async def is_over(self, who: Holder) -> bool:
        """Whether that life, which was alive, is over."""
        ...


class RegistryServer:
    """The truth.

    Args:
        journal: What outlives this process.
        watch: Tells who lives.
        history: How many commits a copy may be behind without being sent everything.
    """

    def __init__(self, journal: Journal, watch: Watch, *, history: int = _HISTORY) -> None:
        self._journal, self._watch = journal, watch
        self._directory = Directory()
        self._watched: set[Holder] = set()
        self._pending: list[_Asked] = []
        self._taken: list[_Asked] = []
        self._history: deque[list[Change]] = deque(maxlen=history)
        self._commits = 0
        self._closed = False
        self._work = asyncio.Event()
        self._news = asyncio.Event()
        self._committing = asyncio.Lock()
        self._opened = asyncio.get_running_loop().create_future()

    @property
    def version(self) -> Version:
        """What is published."""
        return (self._journal.term, self._commits)

    async def run(self) -> None:
        """Read what former lives left, drop those of them that have died, and serve.

        Raises:
            Superseded: A later life has begun; end this process.
        """
        try:
            self._directory = await self._journal.open()
            await self._meet(self._directory.holders())
            self._opened.set_result(None)
            while True:
                await self._work.wait()
                self._work.clear()
                await self._commit()
        finally:
            self._close()

    async def apply(self, operations: Sequence[Operation]) -> tuple[Version, list[Any]]:
        """The answers, an error being one too, and the version that has what was changed."""
        if self._closed:
            raise Superseded
        done: asyncio.Future[tuple[Version, list[Any]]] = asyncio.get_running_loop().create_future()
        self._enqueue(operations, done)
        return await done

    async def follow(self, since: Version, *, timeout_s: float = _POLL_S) -> Batch:
        """What a copy of that version lacks; waits until there is something, for `timeout_s` at most."""
        await asyncio.shield(self._opened)
        if since == self.version:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
            except TimeoutError:
                return Batch(self.version, ())
        return self._since(since) or await self._everything()

    async def current(self) -> Version:
        """The version that has all that was answered before now."""
        await asyncio.shield(self._opened)
        return self.version

    def node_lost(self, node: str) -> None:
        """Nobody on that node holds anything any more, nor will."""
        self._enqueue([NodeLost(node)], None)

    def _enqueue(self, operations: Sequence[Operation], done: asyncio.Future[tuple[Version, list[Any]]] | None) -> None:
        self._pending.append((operations, done))
        self._work.set()

    def _close(self) -> None:
        """Whoever waits has to look for the next life; a copy does when it finds that nothing is new."""
        self._closed = True
        self._news.set()
        for done in [self._opened, *(done for _, done in (*self._taken, *self._pending) if done)]:
            if not done.done():
                done.set_exception(Superseded())
                done.exception()  # whether anybody waits for it or not

    async def _commit(self) -> None:
        batch, self._pending = self._pending, []
        self._taken = batch
        batch = [([Died(who) for who in await self._over(self._rivals(batch))], None), *batch]
        adders = {op.entry.who for ops, _ in batch for op in ops if isinstance(op, Add)}
        dead = await self._meet(adders - self._watched)
        changes: list[Change] = []
        async with self._committing:
            answers = [[self._perform(operation, dead, changes) for operation in ops] for ops, _ in batch]
            if changes:
                await self._journal.append(changes, self._directory)
                self._publish(changes)
        for (_, done), given in zip(batch, answers, strict=True):
            if done is not None and not done.done():
                done.set_result((self.version, given))

    def _rivals(self, batch: list[_Asked]) -> list[Holder]:
        """Who holds a unique key that another process asks for."""
        adds = [operation for operations, _ in batch for operation in operations if isinstance(operation, Add)]
        books = self._directory.books
        tables = [(books[add.book], add.entry) for add in adds if add.book in books]
        held = {(e.who, new.who) for table, new in tables if table.keys == "unique" for e in table.lookup(new.key)}
        return sorted({who for who, new in held if who.process != new.process}, key=str)

    async def _over(self, holders: list[Holder]) -> list[Holder]:
        """Those of them that are over, even if the news has not come yet: they keep nobody from a key."""
        over = await asyncio.gather(*map(self._watch.is_over, holders))
        return [who for who, is_over in zip(holders, over, strict=True) if is_over]

    def _perform(self, operation: Operation, dead: set[Holder], changes: list[Change]) -> Any:
        if isinstance(operation, Add) and operation.entry.who in dead:
            who = operation.entry.who
            return StaleEpoch(who.process, who.epoch, max(who.epoch + 1, self._directory.floor(who.process)))
        if isinstance(operation, Died):
            self._watched.discard(operation.who)
        outcome = self._directory.perform(operation)
        changes.extend(outcome.changes)
        return outcome.answer

    async def _meet(self, holders: set[Holder]) -> set[Holder]:
        """Watch those; who of them is dead, whose end is a matter for the next commit."""
        known = sorted(holders, key=lambda who: (who.process, who.epoch))
        living = await asyncio.gather(*map(self._alive, known))
        dead = {who for who, lives in zip(known, living, strict=True) if not lives}
        self._watched |= holders - dead
        for who in dead & self._directory.holders():
            self._enqueue([Died(who)], None)
        return dead

    def _alive(self, who: Holder) -> Coroutine[Any, Any, bool]:
        return self._watch.alive(who, lambda: self._enqueue([Died(who)], None))

    def _publish(self, changes: list[Change]) -> None:
        self._commits += 1
        self._history.append(changes)
        self._news.set()
        self._news = asyncio.Event()

    def _since(self, since: Version) -> Batch | None:
        behind = self._commits - since[1]
        if since[0] != self._journal.term or not 0 <= behind <= len(self._history):
            return None
        commits = list(self._history)[len(self._history) - behind :]
        return Batch(self.version, tuple(change for commit in commits for change in commit))

    async def _everything(self) -> Batch:
        async with self._committing:  # what is not written yet is nobody's business
            return Batch(self.version, tuple(self._directory.snapshot()), whole=True)
