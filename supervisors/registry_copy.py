"""A process's own copy of the books: looking up costs a dictionary access, and asks nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from supervisors.entries import Change, Drop, Event, Fence, Holder, Put, Unregistered
from supervisors.registry_core import Directory
from supervisors.registry_server import Batch, Version


class Copy:
    """What the keeper has published, as far as it has arrived here.

    Holders that this process knows to be over are left out, even if the keeper has not said so yet.
    """

    def __init__(self) -> None:
        self.directory = Directory()
        self.version: Version = (0, 0)
        self._over: set[Holder] = set()
        self._listeners: dict[object, Callable[[Event], None]] = {}
        self._waiting: list[tuple[Version, asyncio.Future[None]]] = []

    def take(self, batch: Batch) -> None:
        """Take it in, all of it, and then tell of it."""
        events = self._replace(batch) if batch.whole else self._add(batch.changes)
        self.version = batch.version
        for event in events:
            self._tell(event)
        for version, arrived in self._waiting:
            if version <= self.version and not arrived.done():
                arrived.set_result(None)
        self._waiting = [(version, arrived) for version, arrived in self._waiting if not arrived.done()]

    async def reached(self, version: Version) -> None:
        """Wait until this version, or a later one, is here."""
        if version > self.version:
            arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((version, arrived))
            await arrived

    def release(self, is_over: Callable[[Holder], bool]) -> None:
        """Those holders are over: forget their entries now, before the keeper says so."""
        over = {who for who in self.directory.holders() if is_over(who)}
        self._over |= over
        drops = [Drop(book, e.id) for who in over for book, t in self.directory.books.items() for e in t.of(who)]
        for event in self._add(tuple(drops)):
            self._tell(event)

    def listen(self, tell: Callable[[Event], None]) -> Callable[[], None]:
        """See `Keeper`."""
        number = object()
        self._listeners[number] = tell
        return lambda: self._listeners.pop(number, None) and None

    def _add(self, changes: tuple[Change, ...]) -> list[Event]:
        return [event for change in changes if self._counts(change) and (event := self.directory.apply(change))]

    def _counts(self, change: Change) -> bool:
        if isinstance(change, Fence) and self._over:
            self._over = {w for w in self._over if w.process != change.process or w.epoch >= change.floor}
        return not (isinstance(change, Put) and change.entry.who in self._over)

    def _replace(self, batch: Batch) -> list[Event]:
        before, self.directory = self.directory, Directory()
        events: list[Event] = []
        for change in batch.changes:
            if self._counts(change):
                event = self.directory.apply(change)
                was = before.books.get(change.book) if isinstance(change, Put) else None
                if event is not None and not (was and isinstance(change, Put) and was.get(change.entry.id)):
                    events.append(event)
        return self._lost(before) + events

    def _lost(self, before: Directory) -> list[Event]:
        now = self.directory.books
        return [
            Unregistered(book, entry)
            for book, table in before.books.items()
            for entry in table.entries()
            if book not in now or now[book].get(entry.id) is None
        ]

    def _tell(self, event: Event) -> None:
        for tell in list(self._listeners.values()):
            tell(event)
