"""Moves of single sessions, with hosts that are not there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest

from dspex_actors.config import Settings
from dspex_actors.errors import NoCapacity, SessionBusy, StoreUnavailable
from dspex_actors.resources.session import Guest
from dspex_actors.sessions import ray_dedicated
from dspex_actors.sessions.handover import Gone
from dspex_actors.sessions.placement import HostInfo
from dspex_actors.sessions.ray_book import Book
from dspex_actors.sessions.ray_dedicated import Dedications
from dspex_actors.sessions.ray_moves import Moves
from dspex_actors.sessions.units import idle_hosts
from dspex_actors.store.port import NOBODY, Lease, Store

Found = list[tuple[Guest, Lease]]


class Remote:
    """A method of an actor."""

    def __init__(self, method: Callable[..., Awaitable[Any]]) -> None:
        self.remote = method


class Handle:
    """A host, which lets a session go when it is told to, and then says that it is busy."""

    def __init__(self) -> None:
        self.told, self.asked, self.go = list[str](), asyncio.Event(), asyncio.Event()
        self.let_go, self.dedicate, self.own = Remote(self._let_go), Remote(self._dedicate), Remote(self._own)

    async def _let_go(self, *_: object) -> Gone:
        self.asked.set()
        await self.go.wait()
        raise SessionBusy("busy")

    async def _dedicate(self, guest: Guest, term: int) -> None:
        self.told.append(guest.uid)

    async def _own(self, *_: object) -> None: ...


class Leases:
    """A store that is away for as often as `failures` says."""

    def __init__(self, *leases: Lease, failures: int = 0) -> None:
        self.all, self.failures = {lease.unit: lease for lease in leases}, failures

    def leases(self) -> list[Lease]:
        return list(self.all.values())

    def dedicated(self) -> Found:
        sessions = [lease for lease in self.all.values() if lease.unit.startswith("session:")]
        return [(Guest(uid := lease.unit.removeprefix("session:"), uid), lease) for lease in sessions]

    def take_over(self, leases: Sequence[Lease], heir: str) -> list[Lease]:
        self.failures -= 1
        if self.failures >= 0:
            raise StoreUnavailable("away")
        taken = [Lease(lease.unit, lease.epoch + 1, heir) for lease in leases]
        self.all |= {lease.unit: lease for lease in taken}
        return taken


class Pool:
    """Slots that are too many by `surplus`."""

    def __init__(self, surplus: int = 0) -> None:
        self.surplus, self.removed, self.changed = surplus, list[str](), asyncio.Event()

    async def fit(self, extra: int) -> int:
        return self.surplus

    async def remove(self, name: str) -> bool:
        if name in self.removed:
            return False
        self.removed.append(name)
        self.surplus -= 1
        self.changed.set()
        return True


async def nothing() -> None:
    """What need not be done here."""


def book_of(store: Leases, *names: str) -> Book:
    """With these living hosts."""
    book = Book(cast(Store, store), 1)
    book.alive = {name: HostInfo(name, "", 1, 0.0, "node") for name in names}
    book.handles = {name: Handle() for name in names}
    book.publish()
    return book


def dedications_of(book: Book, hidden: set[str]) -> Dedications:
    """Goes by that book."""

    async def is_hidden(name: str) -> bool:
        return name in hidden

    guests = book.store.dedicated()
    return Dedications(book, Moves(book, nothing), Settings(dedicated_limit=1), is_hidden, nothing, guests)


def test_a_standby_that_a_session_is_to_move_to_is_nobody_elses_until_it_has_not_come() -> None:
    """Then whoever waits for a standby hears of it."""

    async def moving() -> None:
        book = book_of(Leases(Lease("shard:0", 1, "a")), "a", "b")
        task = asyncio.create_task(Moves(book, nothing).migrate("u", 0, None, 5))
        await book.handles["a"].asked.wait()
        assert idle_hosts(book.hosts(), book.units) == []
        news = book.news
        book.handles["a"].go.set()
        with pytest.raises(SessionBusy):
            await task
        assert (news.is_set(), idle_hosts(book.hosts(), book.units)) == (True, ["b"])

    asyncio.run(moving())


def test_no_session_is_moved_to_a_host_that_is_dedicated() -> None:
    """Not even when it is named."""

    async def moving() -> None:
        book = book_of(Leases(Lease("shard:0", 1, "a")), "a", "b")
        book.dedicated["b"] = "x"
        for host in ("b", None):
            with pytest.raises(NoCapacity):
                await Moves(book, nothing).migrate("u", 0, host, 5)

    asyncio.run(moving())


def test_a_host_that_has_died_is_not_said_to_leave() -> None:
    """It would be for ever."""

    async def leaving() -> None:
        book = book_of(Leases(), "a")
        await Moves(book, nothing).begin_drain("lost")
        assert book.leaving == set()

    asyncio.run(leaving())


def test_a_standby_is_kept_when_the_store_is_away() -> None:
    """It is not its fault: the session comes to it later, and no other standby is told."""

    async def housing() -> None:
        book = book_of(Leases(Lease("shard:0", 1, "a"), Lease("session:x", 1, NOBODY), failures=2), "a", "b", "c")
        await dedications_of(book, set()).house("x", 5)
        assert [book.handles[name].told for name in "abc"] == [[], [], ["x"]]
        assert (book.leaving, [lease.unit for lease in book.units.of("c")]) == (set(), ["session:x"])

    asyncio.run(housing())


def test_nothing_is_taken_from_a_host_that_may_live() -> None:
    """It has not attached again yet; when it is known to be lost, its session has the host that is ready for it."""

    async def housing() -> None:
        hidden = set[str]()
        book = book_of(Leases(Lease("shard:0", 1, "a"), Lease("session:x", 1, "lost")), "a", "b")
        dedications = dedications_of(book, hidden)
        await dedications.rehouse()
        hidden.add("lost")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(arrived(book, "b"), 0.2)
        hidden.clear()
        await asyncio.wait_for(arrived(book, "b"), 5)

    asyncio.run(housing())


async def arrived(book: Book, name: str) -> None:
    """Until that host has something."""
    while not book.units.of(name):
        await book.news.wait()


def test_only_hosts_without_anything_end_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one that something is on its way to, nor more than there are too many."""
    pool = Pool(surplus=2)
    monkeypatch.setattr(ray_dedicated, "Slots", lambda _: pool)

    async def fitting() -> None:
        book = book_of(Leases(Lease("shard:0", 1, "a")), "a", "b", "c")
        dedications = dedications_of(book, set())
        following = asyncio.create_task(dedications.follow())
        with book.units.expecting("b"):
            await dedications.vacate()
            await asyncio.wait_for(pool.changed.wait(), 10)
        following.cancel()
        assert (pool.removed, book.leaving) == (["c"], {"c"})

    asyncio.run(fitting())
