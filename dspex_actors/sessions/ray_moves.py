"""Planned moves: a living host hands units or sessions over, because of a plan, a request, or its own end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any

import ray

from dspex_actors.errors import Moved, NoCapacity, SessionBusy, StoreUnavailable
from dspex_actors.ids import unit_of_session
from dspex_actors.sessions.handover import Gone
from dspex_actors.sessions.placement import Drained, Migrated, choose
from dspex_actors.sessions.planner import HostView
from dspex_actors.sessions.ray_book import RETRY_S, Book
from dspex_actors.sessions.units import SESSION, Carry
from dspex_actors.store.port import Lease

log = logging.getLogger(__name__)

STAY_S = 60.0
"""How long a session that leaves with its host may finish a turn before it is asked again."""


class Moves:
    """Moves what living hosts have. `settle` looks at the whole again, and moves what is still to be moved."""

    def __init__(self, book: Book, settle: Callable[[], Awaitable[None]]) -> None:
        self._book = book
        self._settle = settle
        self.end_for_good: Callable[[str], Awaitable[bool]] | None = None
        """Lets an empty host end so that none comes in its place, where that is right; asked before one retires."""

    # As the plan says ------------------------------------------------------------------------------------------
    def begin(self, carry: Carry) -> None:
        """Have a host hand units over; whatever comes of it, settle."""
        self._book.units.begin(carry)
        self._book.spawn(self._carry(carry))

    async def _carry(self, carry: Carry) -> None:
        shards, sessions = carry.parted()
        if shards.leases:
            await self._attempt(shards, self._hand_over(shards))
            await self._settle()
        if sessions:  # each by itself: one that is busy holds up no other
            await asyncio.gather(*(self._attempt(one, self._send_home(one)) for one in sessions))
            await self._settle()

    async def _attempt(self, carry: Carry, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
            log.info("%s units moved from %s to %s", len(carry.leases), carry.source, carry.target)
        except (ray.exceptions.RayError, KeyError, Moved, SessionBusy, StoreUnavailable) as error:
            log.warning("%s did not hand over %s units: %r", carry.source, len(carry.leases), error)
            await asyncio.sleep(RETRY_S)
            await self._read()
        finally:
            self._book.units.end(carry)

    async def _hand_over(self, carry: Carry) -> None:
        book = self._book
        epochs = {lease.unit: lease.epoch for lease in carry.leases}
        now: list[Lease] = await book.handles[carry.source].hand_over.remote(epochs, carry.target, book.term)
        async with book.lock:
            book.units.learn(now)
            book.own(carry.target, [lease for lease in now if lease.host == carry.target])
            book.publish()
        if not any(lease.host == carry.target for lease in now):
            raise Moved("It does not hold them, or hands them over already.")
        if len(now) != len(epochs):  # sessions that stayed may have left since
            await self._read()

    async def _send_home(self, carry: Carry) -> None:
        (lease,) = carry.leases
        uid = lease.unit.removeprefix(SESSION)
        await self._arrived(uid, await self._let_go(uid, lease, None, STAY_S))

    async def _read(self) -> None:
        """Go by the store, if it answers."""
        with contextlib.suppress(StoreUnavailable):
            async with self._book.lock:
                await self._book.read()

    async def hear(self, name: str) -> None:
        """Sessions that stayed until their turn had ended go home of themselves, and what an earlier placement asked
        for may move after its end: the store says which. It is read first when the host knows this term; what moves
        later is told."""
        seen, book = -1, self._book
        while name in book.alive:
            try:
                seen = await book.handles[name].news.remote(seen, book.term)
                async with book.lock:
                    await book.read()
                await self._settle()  # what it moved may have gone to a host that is lost
            except (ray.exceptions.RayError, KeyError, StoreUnavailable):
                await asyncio.sleep(RETRY_S)

    # One session -----------------------------------------------------------------------------------------------
    async def migrate(self, uid: str, shard: int, host: str | None, patience_s: float) -> Migrated:
        """See `Leader.migrate`."""
        book, source = self._book, ""
        until = time.monotonic() + patience_s
        while True:
            lease = book.units.of_session(uid, shard)
            if lease is None or lease.host not in book.alive:
                await self._news_before(until)
                continue
            source = source or lease.host
            target = choose(host, lease.host, [self._weighed(view) for view in book.hosts()])
            if target in book.dedicated or target in book.units.alone:
                raise NoCapacity(f"Host {target} is there for one dedicated session alone. Name another host, or none.")
            home = book.units.home(shard) == target
            try:
                with self._reserved(target):
                    gone = await self._let_go(uid, lease, None if home else target, until - time.monotonic())
                    pause_s = await self._arrived(uid, gone)
            except (ray.exceptions.RayError, Moved, KeyError) as error:
                if isinstance(error, SessionBusy):
                    raise
                await self._lost_track(until)
                continue
            if (home if gone.lease is None else gone.lease.host == target) and target in book.alive:
                return Migrated(source, target, round(pause_s * 1000, 3))
            await asyncio.to_thread(book.store.load_session, uid)  # it may have been deleted
            await self._lost_track(until)

    @contextlib.contextmanager
    def _reserved(self, host: str) -> Iterator[None]:
        """Nobody else gets that standby meanwhile; then who waits for one looks again."""
        try:
            with self._book.units.expecting(host):
                yield
        finally:
            self._book.tell_again()

    def _weighed(self, view: HostView) -> HostView:
        return replace(view, load=len(self._book.units.of(view.name)))

    async def _lost_track(self, until: float) -> None:
        """Its host is lost, or it has moved of itself: go by what is true now."""
        await asyncio.sleep(RETRY_S)
        if time.monotonic() > until:
            raise _nowhere()
        await self._read()

    async def _arrived(self, uid: str, gone: Gone) -> float:
        """Tell its new host and the routers; gives how long it took no turns."""
        began = time.monotonic()
        async with self._book.lock:
            if gone.lease is None:
                self._book.units.forget(unit_of_session(uid))
            else:
                self._book.take_in(gone.lease.host, [gone.lease])
            self._book.publish()
        if gone.lease is not None and gone.lease.host not in self._book.alive:
            await self._settle()  # its new host was lost while it was on its way
        return gone.pause_s + time.monotonic() - began

    async def _let_go(self, uid: str, lease: Lease, host: str | None, patience_s: float) -> Gone:
        handle = self._book.handles[lease.host]
        gone: Gone = await handle.let_go.remote(uid, lease, host, max(0.0, patience_s), self._book.term)
        return gone

    async def bring(self, uid: str, lease: Lease, host: str, patience_s: float) -> float:
        """Let its host give a session to another one; gives how long it took no turns. Raises as `HostActor.let_go`."""
        return await self._arrived(uid, await self._let_go(uid, lease, host, patience_s))

    async def _news_before(self, until: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._book.news.wait()
        except TimeoutError:
            raise _nowhere() from None

    # A whole host ----------------------------------------------------------------------------------------------
    async def drain(self, name: str, timeout_s: float) -> Drained:
        """See `Leader.drain_host`."""
        book = self._book
        if name in book.units.owners and name not in book.alive:
            raise NoCapacity(f"Host {name} is not connected at the moment. Try again.", retry_after_s=1)
        choose(name, "", [replace(view, draining=False) for view in book.hosts()])
        choose(None, name, book.hosts())
        units, done = len(book.units.of(name)), self.begin_drain(name)
        await asyncio.wait([done], timeout=timeout_s)
        left = len(book.units.of(name)) if name in book.alive else 0
        return Drained(name, units - left, left, name not in book.alive)

    def recycle(self, name: str, reason: str) -> None:
        """See `Leader.recycle`."""
        book = self._book
        if name not in book.alive or name in book.leaving:
            return
        if book.leaving:
            raise NoCapacity("Another host leaves at the moment; one at a time.", retry_after_s=1)
        choose(None, name, book.hosts())
        log.warning("host %s is worn out and is replaced: %s", name, reason)
        self.begin_drain(name)

    def begin_drain(self, name: str) -> asyncio.Task[None]:
        """Let a host give away all it has, then end. Nothing is done if it is dead."""
        if name in self._book.alive:  # else nobody would ever take it off the list
            self._book.leaving.add(name)
        return self._book.spawn(self._retire(name))

    async def _retire(self, name: str) -> None:
        book = self._book
        while name in book.alive:
            with contextlib.suppress(ray.exceptions.RayError, KeyError):
                await book.handles[name].begin_drain.remote(book.term)
                await self._settle()
                while name in book.alive and (book.units.of(name) or book.units.is_expected(name)):
                    await book.news.wait()
                log.info("host %s has given everything away", name)
                if self.end_for_good is None or not await self.end_for_good(name):
                    await book.handles[name].retire.remote(book.term)
            await asyncio.sleep(RETRY_S)


def _nowhere() -> NoCapacity:
    return NoCapacity("No host serves this session at the moment. Try again.", retry_after_s=1)
