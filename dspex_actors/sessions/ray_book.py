"""Placement's book: the hosts that live, the units they have, and the table that is made of both."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from dspex_actors.sessions.placement import HostInfo, Table
from dspex_actors.sessions.planner import HostView
from dspex_actors.sessions.units import Units
from dspex_actors.store.port import Lease, Store

log = logging.getLogger(__name__)

RETRY_S = 0.05


@dataclass(frozen=True, slots=True)
class Roll:
    """What a placement has to know to go on where another one has ended; the leases are in the store.

    Attributes:
        version: That of the table then.
        node: Where the placement runs whose roll this is.
        hosts: The living ones as they would say of themselves, and their actors.
    """

    version: int
    node: str
    hosts: tuple[tuple[HostInfo, Any], ...]


class Book:
    """What placement goes by. Used on its loop; `lock` is held by who reads the store and changes `units` by it.

    Attributes:
        alive: The hosts that live, in the order of their coming.
        handles: Their actors.
        leaving: Those that give all they have away.
        probation: Those that are there for one suspect turn, and the session (uid) that has it.
        dedicated: Those that are there for one session alone, until they end, and that session (uid).
        units: Who has what.
        table: What routers go by.
        news: Set when there is a newer table; a fresh one each time.
    """

    def __init__(self, store: Store, term: int) -> None:
        self.store = store
        self.term = term
        self.lock = asyncio.Lock()
        self.alive: dict[str, HostInfo] = {}
        self.handles: dict[str, Any] = {}
        self.leaving: set[str] = set()
        self.probation: dict[str, str] = {}
        self.dedicated: dict[str, str] = {}
        self.units = Units(store.leases())
        self.draining = False
        self.table = Table(0, {}, {})  # older than any: an empty one would take all their hosts from routers
        self.news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def hosts(self) -> list[HostView]:
        """The hosts as the planner sees them."""
        apart = self.probation.keys() | self.dedicated.keys() | self.units.alone
        return [
            HostView(name, info.node, draining=name in self.leaving, dedicated=name in apart)
            for name, info in self.alive.items()
        ]

    def take_in(self, heir: str, leases: Sequence[Lease]) -> None:
        """These are that host's now; tell it."""
        self.units.learn(leases)
        self.own(heir, leases)

    async def read(self) -> None:
        """Go by what the store says, and tell every host what of it is news to it. Raises StoreUnavailable."""
        known = set(self.units.all)
        self.units.replace(await asyncio.to_thread(self.store.leases))
        ended = {lease.unit for lease in known} - {lease.unit for lease in self.units.all}
        for name in self.alive:
            if news := [lease for lease in self.units.of(name) if lease not in known]:
                self.own(name, news)
            if gone := [lease.unit for lease in known if lease.host == name and lease.unit in ended]:
                self.spawn(self._end(name, gone))

    def own(self, name: str, leases: Sequence[Lease]) -> None:
        """Tell a host what it owns until it has heard it; should it be dead, its watch says so."""
        self.spawn(self._tell(name, {lease.unit: lease.epoch for lease in leases}))

    async def _tell(self, name: str, epochs: dict[str, int]) -> None:
        while name in self.alive:
            try:
                await self.handles[name].own.remote(epochs, self.term)
            except ray.exceptions.RayError as error:
                log.warning("host %s has not heard what it owns: %s", name, type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _end(self, name: str, units: Sequence[str]) -> None:
        """These sessions have no leases of their own any more; a host that does not hear of it only keeps more."""
        with contextlib.suppress(ray.exceptions.RayError, KeyError):
            await self.handles[name].disown.remote(units, self.term)

    def publish(self) -> None:
        """Make a table of what is known, and wake who waits for one."""
        hosts = {name: info.address for name, info in self.alive.items()}
        nodes = {name: info.node for name, info in self.alive.items()}
        units = {lease.unit: (lease.host, lease.epoch) for lease in self.units.all if lease.host in self.alive}
        remotes = {name: info.remote for name, info in self.alive.items() if info.remote is not None}
        version = max(self.table.version, self.term << 32) + 1
        self.table = Table(version, hosts, units, self.draining, nodes, remotes)
        self.news.set()
        self.news = asyncio.Event()

    def stays(self, name: str) -> bool:
        """Whether a host lives, and is not about to leave."""
        return name in self.alive and name not in self.leaving

    def tell_again(self) -> None:
        """Publish, unless nothing was published yet: hosts that are about to attach again would be missing."""
        if self.table.version:
            self.publish()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do this beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
