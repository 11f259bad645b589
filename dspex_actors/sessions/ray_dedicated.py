"""Dedicated sessions get hosts of their own: a standby each, which is nobody else's from then on and ends with it.

What survives a crash of placement: which sessions are dedicated and who has their leases, in the store; and each host
knows whom it is for, so that one whose session is gone is never taken for a standby.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import ray

from dspex_actors.config import Settings
from dspex_actors.errors import DspexError, Moved, NoCapacity, NotFound, SessionBusy, StoreUnavailable
from dspex_actors.resources.session import Guest
from dspex_actors.sessions.dedication import Guests, removable
from dspex_actors.sessions.placement import Migrated, choose
from dspex_actors.sessions.ray_book import RETRY_S, Book
from dspex_actors.sessions.ray_moves import Moves
from dspex_actors.sessions.ray_slots import Slots
from dspex_actors.sessions.units import idle_hosts
from dspex_actors.store.port import NOBODY, Lease
from supervisors import SupervisorError

log = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often to read which sessions are dedicated: whoever created or deleted one may have died before saying so."""
TELL_S = 2.0
"""How long a standby may take to hear whom it is for, before another one is taken."""
MOVED_S = 1.0
"""How long the move of a session may take to end after its old host has given it away."""
TURN_S = 3600.0
"""How long a session that leaves with its host may finish a turn before another host is sought."""
PAUSE_MAX_S = 30.0
"""At most this long from one standby to the next for a session that they refuse, or that does not get on with them."""
PAUSE_S = 0.3
"""A new process costs CPU that the first turn of a session needs, which has just got its host."""

_FAULTS = (ray.exceptions.RayError, KeyError, Moved, SessionBusy, StoreUnavailable, TimeoutError)


class Dedications:
    """Houses dedicated sessions.

    Args:
        book: What placement knows.
        moves: Moves sessions.
        settings: How many hosts there shall be, and how many sessions may have their own.
        is_hidden: Whether a host may be alive although it is not attached.
        check_term: Ends this placement if another one leads.
        guests: The dedicated sessions, with their leases.
    """

    def __init__(
        self, book: Book, moves: Moves, settings: Settings, is_hidden: Callable[[str], Awaitable[bool]],
        check_term: Callable[[], Awaitable[None]], guests: Sequence[tuple[Guest, Lease]],
    ) -> None:  # fmt: skip
        self._book, self._moves, self._is_hidden, self._check_term = book, moves, is_hidden, check_term
        self._limit = settings.dedicated_limit
        self._slots = Slots(settings)
        self._housing: dict[str, asyncio.Task[None]] = {}
        self._guests = Guests(book.units, settings.dedicated_limit, self._housing)
        self._guests.refresh(guests)
        self._faults: dict[str, str] = {}
        self._line = asyncio.Lock()
        self._news = asyncio.Event()
        moves.end_for_good = self._end_for_good

    # What is asked of placement --------------------------------------------------------------------------------
    async def house(self, uid: str, patience_s: float) -> None:
        """See `Leader.house`."""
        await self._read()
        if uid not in self._guests:
            raise NotFound("The session was deleted.")
        if uid not in self._guests.admitted():
            raise NoCapacity(
                f"There are {self._limit} dedicated sessions, which is all that may be. Delete one, or raise "
                "DSPEX_DEDICATED_LIMIT.",
                retry_after_s=5,
            )
        await self.rehouse()
        task = self._housing.get(uid)
        is_done = task is None or bool((await asyncio.wait([task], timeout=patience_s))[0])
        if not is_done or self._guests.is_waiting(uid):
            none = "No standby became free in time to be the session's own host. Try again, or raise DSPEX_STANDBY."
            raise NoCapacity(self._faults.get(uid) or none, retry_after_s=2)

    async def vacate(self) -> None:
        """See `Leader.vacate`."""
        await self._read()
        self._news.set()

    async def migrate(self, uid: str, shard: int, host: str | None, patience_s: float) -> Migrated:
        """See `Leader.migrate`; a dedicated session goes to a standby, and no other goes where it is."""
        if (guest := self._guests.get(uid)) is None:
            return await self._moves.migrate(uid, shard, host, patience_s)
        if uid in self._housing:
            raise NoCapacity("The session is on its way to another host already. Try again.", retry_after_s=1)
        source, pauses = self._guests.lease(uid), list[float]()
        self._housing[uid] = task = self._book.spawn(self._migrate(guest, host, patience_s, pauses))
        self._news.set()  # where there is no standby, one has to be started
        try:
            await task
        finally:
            self._housing.pop(uid, None)
            self._news.set()
        target = self._guests.lease(uid)
        if source is None or target is None or target.host == source.host:
            raise NoCapacity("The session has not moved: hosts were lost meanwhile. Try again.", retry_after_s=1)
        return Migrated(source.host, target.host, round(sum(pauses) * 1000, 3))

    def shown(self, name: str) -> dict[str, Any]:
        """What the tree says of a host that is dedicated, and which session is there."""
        if (uid := self._book.dedicated.get(name)) is None:
            return {}
        guest, lease = self._guests.get(uid), self._guests.lease(uid)
        is_here = guest is not None and lease is not None and lease.host == name
        return {"kind": "dedicated", "session": guest.id if guest is not None and is_here else None}

    # What happens to hosts -------------------------------------------------------------------------------------
    def resume(self, name: str, uid: str) -> None:
        """A host says that it is dedicated: an earlier placement had told it."""
        self._book.dedicated[name] = uid
        self._news.set()

    async def rehouse(self) -> None:
        """Begin to move those that need a host: their own was lost or leaves, or they never had one."""
        book = self._book
        if book.draining:
            return
        away = book.units.owners - book.alive.keys() - {NOBODY}
        hidden = {name for name in away if await self._is_hidden(name)}
        for uid in self._guests.homeless(book.dedicated, book.alive.keys() - book.leaving, hidden):
            if uid not in self._housing:
                self._housing[uid] = book.spawn(self._house(uid))

    async def follow(self) -> None:
        """Keep up with what is created and deleted, and let the pool of hosts be as large as it has to be."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOK_S)
                self._news.clear()
                await asyncio.sleep(PAUSE_S)
            try:
                await self._read()
                await self.rehouse()
                await self._tidy()
                await self._fit()
            except (SupervisorError, StoreUnavailable, ray.exceptions.RayError) as error:
                log.info("the pool of hosts cannot be fitted now: %s", error)
            except Exception:
                log.exception("the pool of hosts could not be fitted")  # nobody else would, so go on

    async def _read(self) -> None:
        async with self._book.lock:  # or an older answer might be taken for the newer one
            self._guests.refresh(await asyncio.to_thread(self._book.store.dedicated))
        for uid in [uid for uid in self._faults if uid not in self._guests]:
            del self._faults[uid]
        for uid, task in self._housing.items():
            if uid not in self._guests:
                task.cancel()

    async def _tidy(self) -> None:
        """End hosts whose session is gone; of those whose session has moved others come in their place."""
        book = self._book
        for name in self._guests.left_behind(book.dedicated, self._housing):
            uid = book.dedicated.get(name)
            if uid is None or name in book.leaving:
                continue
            log.info("host %s ends: it was dedicated to session %s, which is not there any more", name, uid)
            surplus = 0 if uid in self._guests else await self._slots.fit(self._extra())
            if surplus <= 0 or not await self._remove(name):
                self._moves.begin_drain(name)

    async def _fit(self) -> None:
        while (surplus := await self._slots.fit(self._extra())) > 0:
            log.debug("there are %s hosts too many", surplus)
            for name in removable(self._book.hosts(), self._book.units):
                if await self._remove(name):
                    break
            else:
                return

    async def _end_for_good(self, name: str) -> bool:
        """A dedicated host that leaves has given its session away: has another one been started for that already?"""
        if (uid := self._book.dedicated.get(name)) is None:
            return False
        if (task := self._housing.get(uid)) is not None:
            await asyncio.wait([task], timeout=MOVED_S)
        try:
            return await self._slots.fit(self._extra()) > 0 and await self._remove(name)
        except (SupervisorError, StoreUnavailable, ray.exceptions.RayError) as error:
            log.info("another host comes after %s: %s", name, error)
            return False

    def _extra(self) -> int:
        return self._guests.hosts_wanted(self._book.dedicated, self._book.leaving)

    async def _remove(self, name: str) -> bool:
        """Let that host end, and none come in its place; False if it has to be kept, or has ended already."""
        book = self._book
        async with book.lock:  # or a lost host's units may be on their way to it
            if name not in book.alive or book.units.is_in_use(name):
                return False
            was_leaving = name in book.leaving
            book.leaving.add(name)
        is_gone = False
        try:
            await self._check_term()
            is_gone = await self._slots.remove(name)
        finally:
            if is_gone:
                book.dedicated.pop(name, None)  # its slot has ended with it
            elif not was_leaving:
                book.leaving.discard(name)
                book.tell_again()  # who waits for a standby may have it
        return is_gone

    # One session -----------------------------------------------------------------------------------------------
    async def _house(self, uid: str) -> None:
        """Until it has a host of its own."""
        try:
            pause_s = RETRY_S
            while (guest := self._guests.moving(uid)) is not None and not self._is_home(uid):
                name = await self._take(uid)
                try:
                    await self._prepare(guest, name)
                except _FAULTS as error:
                    self._give_up(name, uid, error)
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, PAUSE_MAX_S)
                else:
                    await self._move_surely(uid, name)
        finally:
            self._housing.pop(uid, None)
            self._news.set()

    async def _move_surely(self, uid: str, name: str) -> None:
        """Faults here are the store's, or the host's that it leaves: the new one keeps ready."""
        pause_s = RETRY_S
        while self._guests.moving(uid) is not None and not self._is_home(uid) and self._book.stays(name):
            try:
                await self._move_in(uid, name, TURN_S)
            except _FAULTS as error:
                log.info("session %s has not come to host %s yet: %r", uid, name, error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LOOK_S)
                with contextlib.suppress(StoreUnavailable):
                    await self._read()

    def _give_up(self, name: str, uid: str, error: Exception) -> None:
        """This host does not become the session's: it may have been told that it would, so it ends."""
        cause = getattr(error, "cause", None)
        self._faults[uid] = cause.detail if isinstance(cause, DspexError) else ""
        log.warning("session %s did not get host %s: %s", uid, name, self._faults[uid] or repr(error))
        if not self._is_home(uid):
            self._moves.begin_drain(name)

    async def _migrate(self, guest: Guest, host: str | None, patience_s: float, pauses: list[float]) -> None:
        until = time.monotonic() + patience_s
        try:
            async with asyncio.timeout(patience_s):
                name = await self._take(guest.uid, host)
        except TimeoutError:
            raise NoCapacity("No standby became free in time. Try again.", retry_after_s=2) from None
        try:
            await self._prepare(guest, name)
            pauses.append(await self._move_in(guest.uid, name, until - time.monotonic()))
        except SessionBusy:
            raise
        except _FAULTS as error:
            raise NoCapacity("A host was lost while the session moved. Try again.", retry_after_s=1) from error

    def _is_home(self, uid: str) -> bool:
        lease, book = self._guests.lease(uid), self._book
        return lease is not None and book.dedicated.get(lease.host) == uid and lease.host not in book.leaving

    async def _take(self, uid: str, host: str | None = None) -> str:
        """A standby, the next that there is, or the named one. Shards come first: they are many sessions'."""
        if host is not None:
            choose(host, "", self._book.hosts())
        async with self._line:
            while True:
                news = self._book.news
                async with self._book.lock:  # or a lost host's units may be on their way to it
                    idle = idle_hosts(self._book.hosts(), self._book.units)
                    if host is not None and host not in idle:
                        raise NoCapacity(f"Host {host} is no standby: a dedicated session shares none. Name another.")
                    if idle and self._book.units.are_served(self._book.alive):
                        name = host or idle[-1]
                        self._book.dedicated[name] = uid
                        self._book.tell_again()  # a placement that stands by has to know
                        return name
                await news.wait()

    async def _prepare(self, guest: Guest, name: str) -> None:
        """Tell a host whom it is for, and within which limits."""
        book = self._book
        await asyncio.wait_for(_told(book.handles[name].dedicate.remote(guest, book.term)), TELL_S)
        log.info("host %s is dedicated to session %s", name, guest.uid)

    async def _move_in(self, uid: str, name: str, patience_s: float) -> float:
        """Let a session be served by that host; gives how long it took no turns."""
        book, pause_s, until = self._book, 0.0, time.monotonic() + patience_s
        while (lease := self._guests.lease(uid)) is not None and lease.host != name and book.stays(name):
            if lease.host in book.alive:
                pause_s += await self._moves.bring(uid, lease, name, until - time.monotonic())
            elif lease.host == NOBODY or not await self._is_hidden(lease.host):
                await self._take_over(lease, name)
            elif time.monotonic() > until:
                raise TimeoutError("Its host has not attached again.")
            else:
                await asyncio.sleep(RETRY_S)
        return pause_s

    async def _take_over(self, lease: Lease, name: str) -> None:
        async with self._book.lock:
            if lease.host in self._book.alive:
                return  # it has attached meanwhile
            await self._check_term()
            if taken := await asyncio.to_thread(self._book.store.take_over, [lease], name):
                self._book.take_in(name, taken)
            else:
                await self._book.read()
            self._book.publish()


async def _told(ref: Any) -> None:
    await ref
