"""Placement as a Ray actor: it leads, or stands by for the one that does.

What survives a crash: the leases, which are in the store. Where another one stands by it goes on within milliseconds;
else hosts attach again to the next one. Either takes a higher term; meanwhile turns go on by the table that the routers
have. Who is found by others has announced itself in Ray's control store: one that is cut off from that never leads.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Any

from ray.exceptions import ActorDiedError, RayError

from dspex_actors.config import Settings
from dspex_actors.errors import NoCapacity, StoreUnavailable
from dspex_actors.sessions.keep import keep_what_is_here
from dspex_actors.sessions.placement import Drained, HostInfo, Migrated, Table
from dspex_actors.sessions.ray_book import RETRY_S, Book, Roll
from dspex_actors.sessions.ray_leader import Leader
from dspex_actors.sessions.ray_seek import actor_named, announce, announced
from dspex_actors.sessions.ray_watch import Watch
from dspex_actors.store.port import Store

log = logging.getLogger(__name__)

LATEST_S = 1.0
"""How often the one that leads looks whether it is still the latest."""
SETTLED_S = 10.0
"""How old one must be that stands by on the leader's node before it makes room for one on another node."""


class PlacementActor:
    """One of the placements, of which one leads."""

    def __init__(self, settings: dict[str, Any], name: str) -> None:
        from dspex_actors.store.opening import open_store

        self._settings, self._name = Settings(**settings), name
        self._store: Store = open_store(self._settings.database_url)
        self._store.inherit(name, name)  # what is done for the first time takes longest
        self._watch = Watch()
        self._leader: Leader | None = None
        self._roll: Roll | None = None
        self._began = time.monotonic()
        keep_what_is_here()
        self._task = asyncio.get_running_loop().create_task(self._run())

    # Which of them leads ---------------------------------------------------------------------------------------
    async def _run(self) -> None:
        try:
            await self._watch.open()
            while not await self._try_to_lead():  # noqa: ASYNC110 - who leads has no event here
                await asyncio.sleep(RETRY_S)
            await self._stay_latest()
        except Exception:
            log.exception("placement %s cannot go on", self._name)
            os._exit(1)  # its supervisor decides

    async def _try_to_lead(self) -> bool:
        """Stand by while another one leads, then lead. False if it is not known who does, or nothing can be led."""
        try:
            latest = await announced()
            handle = await actor_named(latest.name) if latest is not None else None
            if handle is not None and not await self._outlive(handle):
                return False
            if await announced() != latest:
                return False
            await self._lead()
        except (LookupError, StoreUnavailable) as error:
            log.warning("placement %s does not know who leads: %s", self._name, error)
            return False
        return True

    async def _outlive(self, leader: Any) -> bool:
        """Stand by for as long as that one lives; whether it did not merely refuse."""
        lost = asyncio.Event()
        self._watch.lost = lambda node: lost.set() if self._is_there(node) else None
        losing = asyncio.ensure_future(lost.wait())
        seen = -1
        try:
            while True:
                asking = asyncio.ensure_future(_ref(leader.roll.remote(seen)))
                await asyncio.wait({asking, losing}, return_when=asyncio.FIRST_COMPLETED)
                if lost.is_set():
                    log.warning("placement is lost with its node")
                    asking.add_done_callback(_forget)
                    return True
                try:
                    self._roll = asking.result()
                except ActorDiedError:
                    log.warning("placement has died")
                    return True
                except RayError as error:
                    if isinstance(getattr(error, "cause", None), NoCapacity):
                        return False
                    await asyncio.sleep(RETRY_S)
                else:
                    seen = self._roll.version
                    self._make_room()
        finally:
            losing.cancel()

    def _is_there(self, node: str) -> bool:
        return self._roll is not None and self._roll.node == node

    def _make_room(self) -> None:
        """Stand by on another node than the leader's, where there is one: the supervisor starts the next one there."""
        is_old = time.monotonic() - self._began > SETTLED_S
        if is_old and self._is_there(self._watch.here) and self._watch.others():
            log.info("placement %s ends: it stands by on the node of the one that leads", self._name)
            os._exit(0)

    async def _lead(self) -> None:
        """Take a higher term, be found, go on from what is known. Raises LookupError and StoreUnavailable."""
        term = await asyncio.to_thread(self._store.take_term)
        book = await asyncio.to_thread(Book, self._store, term)
        guests = await asyncio.to_thread(self._store.dedicated)
        leader = Leader(self._settings, self._store, book, self._watch, self._name, guests)
        await announce(term, self._name)
        log.info("placement %s leads, term %s", self._name, term)
        self._leader = leader
        leader.begin()
        if self._roll is not None:
            leader.resume(self._roll)

    async def _stay_latest(self) -> None:
        """One that others do not find any more ends, and stands by when it is started again."""
        term = self._leading.term
        while True:
            await asyncio.sleep(LATEST_S)
            try:
                latest = await announced()
                if latest is None or latest.term < term:
                    await announce(term, self._name)
                elif latest.name != self._name:
                    log.warning("placement %s leads, this one ends: %s", latest.name, self._name)
                    os._exit(0)
            except LookupError as error:
                log.debug("%s", error)

    @property
    def _leading(self) -> Leader:
        if self._leader is None:
            raise NoCapacity("This placement stands by for another one. Try again.", retry_after_s=1)
        return self._leader

    # What hosts say --------------------------------------------------------------------------------------------
    async def attach(self, info: HostInfo, handle: Any) -> int:
        """See `Leader`; this and all below raise NoCapacity where another one leads."""
        return await self._leading.attach(info, handle)

    async def park(self, name: str) -> None:
        """Returns when that host has been given up; a caller learns from its failure that placement is gone."""
        await self._leading.stay(name)

    async def recycle(self, name: str, reason: str) -> None:
        """See `Leader`."""
        await self._leading.recycle(name, reason)

    async def put_on_probation(self, uid: str, shard: int, patience_s: float) -> None:
        """See `Leader`."""
        await self._leading.put_on_probation(uid, shard, patience_s)

    # What others ask -------------------------------------------------------------------------------------------
    async def table(self, after: int) -> Table:
        """See `Leader`."""
        return await self._leading.table(after)

    async def roll(self, after: int) -> Roll:
        """See `Leader`."""
        return await self._leading.roll(after)

    async def loads(self) -> dict[str, dict[str, Any]]:
        """See `Leader`."""
        return await self._leading.loads()

    async def migrate(self, uid: str, shard: int, host: str | None, patience_s: float) -> Migrated:
        """See `Leader`."""
        return await self._leading.migrate(uid, shard, host, patience_s)

    async def house(self, uid: str, patience_s: float) -> None:
        """See `Leader`."""
        await self._leading.house(uid, patience_s)

    async def vacate(self) -> None:
        """See `Leader`."""
        await self._leading.vacate()

    async def drain_host(self, name: str, timeout_s: float) -> Drained:
        """See `Leader`."""
        return await self._leading.drain_host(name, timeout_s)

    async def drain(self, timeout_s: float) -> bool:
        """See `Leader`."""
        return await self._leading.drain(timeout_s)


async def _ref(ref: Any) -> Any:
    return await ref


def _forget(asking: asyncio.Future[Any]) -> None:
    """Nobody asks any more what was answered."""
    if not asking.cancelled():
        asking.exception()
