"""Placement as a Ray actor: knows the living hosts, moves the units of dead ones, and tells the routers.

What survives a crash: the leases, which are in the store. Hosts attach again to the next placement, which takes a
higher term; meanwhile turns go on by the table that the routers have.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.experimental import internal_kv

from dspex_actors.config import Settings
from dspex_actors.errors import Moved, NoCapacity, SessionBusy, StoreUnavailable
from dspex_actors.ids import unit_of_session
from dspex_actors.sessions.handover import Gone
from dspex_actors.sessions.keep import keep_what_is_here
from dspex_actors.sessions.load import Load
from dspex_actors.sessions.placement import Drained, HostInfo, Migrated, Table, choose, first_owners, lifeline_of
from dspex_actors.sessions.planner import HostView
from dspex_actors.sessions.units import SESSION, Carry, Units
from dspex_actors.store.port import Lease, Store
from supervisors import NodeBeat, lifeline
from supervisors.ray_nodes import RayNodes

log = logging.getLogger(__name__)

NAMESPACE = "dspex"
_KEY = b"dspex:placement"
POLL_S = 10.0
RETRY_S = 0.05
GATHER_S = 5.0
"""After a start: how long to wait for as many hosts as are wanted before giving units to fewer."""
LOAD_S = 1.0
HIDDEN_S = 0.5
NODES_S = 0.25
"""How often to ask the cluster which nodes are draining."""
STAY_S = 60.0
"""How long a session that leaves with its host may finish a turn before it is asked again."""
SAME_START_S = 2.0


class PlacementActor:
    """The one place that moves units. Every move is a compare-and-set of leases in the store."""

    def __init__(self, settings: dict[str, Any], name: str) -> None:
        from dspex_actors.store.opening import open_store

        self._settings = Settings(**settings)
        self._store: Store = open_store(self._settings.database_url)
        self._term = self._store.take_term()
        self._store.inherit(name, name)  # what is done for the first time takes longest
        self._units = Units(self._store.leases())
        self._alive: dict[str, HostInfo] = {}
        self._handles: dict[str, Any] = {}
        self._watches: dict[str, int] = {}
        self._dead: set[str] = set()
        self._leaving: set[str] = set()
        self._count = 0
        self._draining = False
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()
        self._gathered = self._following = False
        self._table = Table(self._term << 32, {}, {})
        self._tasks: set[asyncio.Task[None]] = set()
        keep_what_is_here()
        internal_kv._internal_kv_put(_KEY, name.encode(), overwrite=True)

    # Hosts -----------------------------------------------------------------------------------------------------
    async def attach(self, info: HostInfo) -> int:
        """A host is ready for work; gives the term. It learns what it owns by `own`, what it lost by `disown`."""
        if info.name not in self._alive:
            if not self._watch(info):
                self._dead.add(info.name)
                self._spawn(self._settle_surely())
                return self._term
            self._handles[info.name] = ray.get_actor(info.name, namespace=NAMESPACE)
            self._alive[info.name] = info
            log.info("host %s attached, pid %s", info.name, info.pid)
            self._spawn(self._hear(info.name))
            if info.draining:
                self._begin_drain(info.name)
        if not self._gathered:
            self._spawn(self._gather())
        if not self._following:
            self._following = True
            self._spawn(self._follow_nodes())
        mine = {lease.unit: lease.epoch for lease in self._units.of(info.name)}
        others = [lease.unit for lease in self._units.all if lease.unit not in mine]
        handle = self._handles[info.name]
        await handle.disown.remote(others, self._term)
        await handle.own.remote(mine, self._term)
        await self._settle()
        return self._term

    async def park(self) -> None:
        """Never returns: a caller learns from its failure that placement is gone."""
        await asyncio.Event().wait()

    def _watch(self, info: HostInfo) -> bool:
        """Whether the process is there, so that its end will be told: early by its lifeline, surely by a pidfd, which
        is readable when it has ended."""
        try:
            fd = os.pidfd_open(info.pid)
        except ProcessLookupError:
            return False
        if not _is_that(info):
            os.close(fd)
            return False
        self._watches[info.name] = fd
        loop = asyncio.get_running_loop()
        loop.add_reader(fd, self._died, info.name)
        try:
            lifeline.watch(lifeline_of(info.address), partial(loop.call_soon_threadsafe, self._died, info.name))
        except OSError as error:
            log.warning("host %s has no lifeline, its end will be noticed 10 ms later: %s", info.name, error)
        return True

    def _died(self, name: str) -> None:
        fd = self._watches.pop(name, None)
        if fd is None:
            return  # heard before
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
        log.warning("host %s died", name)
        info = self._alive.pop(name)
        del self._handles[name]
        self._dead.add(name)
        self._leaving.discard(name)
        for path in (Path(info.address), lifeline_of(info.address)):
            path.unlink(missing_ok=True)
        self._spawn(self._settle_surely())

    # Moves -----------------------------------------------------------------------------------------------------
    async def _gather(self) -> None:
        await asyncio.sleep(GATHER_S)
        self._gathered = True
        await self._settle_surely()

    async def _settle_surely(self) -> None:
        """Settle, however often the store has to be asked: nobody else will."""
        while True:
            try:
                await self._settle()
                return
            except StoreUnavailable as error:
                log.warning("units cannot be moved yet: %s", error.detail)
                await asyncio.sleep(RETRY_S)

    async def _settle(self) -> None:
        """Give every unit of a host that is gone to one that lives, and publish the table."""
        async with self._lock:
            self._gathered = self._gathered or len(self._alive) >= self._settings.hosts
            if self._gathered and not self._draining:
                await self._move()
            self._publish()

    async def _move(self) -> None:
        alive = list(self._alive)
        if not self._units.all and alive:
            await asyncio.to_thread(self._store.seed_leases, first_owners(alive, self._settings.hosts))
            await self._read()
        hidden = {name for name in self._units.owners if self._is_hidden(name)}
        if hidden:  # nobody tells when one of them dies before it has attached
            asyncio.get_running_loop().call_later(HIDDEN_S, lambda: self._spawn(self._settle_surely()))
        hosts = [replace(view, load=0.0) for view in self._hosts()]
        found = self._units.plan(hosts, self._settings.hosts, hidden)
        for lost, heirs in found.heirs.items():
            await self._inherit(lost, heirs)
        for carry in found.carries:
            self._units.begin(carry)
            self._spawn(self._carry(carry))

    async def _inherit(self, lost: str, heirs: Mapping[str, Sequence[Lease]]) -> None:
        """Give the units of a host that is gone to others, in one step where it is one."""
        *some, last = heirs
        for heir in some:
            self._take_in(heir, await asyncio.to_thread(self._store.take_over, heirs[heir], heir))
        held = await asyncio.to_thread(self._store.inherit, lost, last)
        self._units.forget_sessions_of(lost)
        self._take_in(last, held)
        log.warning("%s units of %s moved to %s", sum(map(len, heirs.values())), lost, ", ".join(heirs))
        if self._units.of(lost):  # another placement, or the lost one itself, moved them: its word is in the store
            await self._read()

    def _take_in(self, heir: str, held: Sequence[Lease]) -> None:
        self._units.learn(held)
        self._own(heir, held)

    async def _read(self) -> None:
        """Go by what the store says, and tell every host what it owns."""
        self._units.replace(await asyncio.to_thread(self._store.leases))
        for name in self._alive:
            self._own(name, self._units.of(name))

    async def _carry(self, carry: Carry) -> None:
        """Have a living host hand units over; whatever comes of it, look at the whole again."""
        sessions = [lease for lease in carry.leases if lease.unit.startswith(SESSION)]
        epochs = {lease.unit: lease.epoch for lease in carry.leases if lease not in sessions}
        try:
            handle = self._handles[carry.source]
            now: list[Lease] = await handle.hand_over.remote(epochs, carry.target, self._term) if epochs else []
            gone = [await self._let_go(lease.unit.removeprefix(SESSION), lease, None, STAY_S) for lease in sessions]
            async with self._lock:
                self._units.learn(now)
                self._own(carry.target, [lease for lease in now if lease.host == carry.target])
                if gone or len(now) < len(epochs):
                    await self._read()
            log.info("%s units moved from %s to %s", len(carry.leases), carry.source, carry.target)
        except (ray.exceptions.RayError, KeyError, Moved, SessionBusy, StoreUnavailable) as error:
            log.warning("%s did not hand over %s units: %r", carry.source, len(carry.leases), error)
            await asyncio.sleep(RETRY_S)
        finally:
            self._units.end(carry)
        await self._settle_surely()

    async def _hear(self, name: str) -> None:
        """Sessions that stayed on a host until their turn had ended go home of themselves: the store says which."""
        seen = 0
        while name in self._alive:
            try:
                seen = await self._handles[name].news.remote(seen)
                async with self._lock:
                    await self._read()
                    self._publish()
            except (ray.exceptions.RayError, KeyError, StoreUnavailable):
                await asyncio.sleep(RETRY_S)

    def _is_hidden(self, name: str) -> bool:
        """Whether a host may be alive although it is not attached: it is about to, after a restart of placement."""
        if name in self._alive or name in self._dead:
            return False
        try:
            ray.get_actor(name, namespace=NAMESPACE)
        except ValueError:
            self._dead.add(name)
            return False
        return True

    def _own(self, name: str, leases: Sequence[Lease]) -> None:
        self._spawn(self._tell(name, leases))

    async def _tell(self, name: str, leases: Sequence[Lease]) -> None:
        """Tell a host what it owns until it has heard it; should it be dead, its watch says so."""
        epochs = {lease.unit: lease.epoch for lease in leases}
        while name in self._alive:
            try:
                await self._handles[name].own.remote(epochs, self._term)
            except ray.exceptions.RayError as error:
                log.warning("host %s has not heard what it owns: %s", name, type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                return

    def _publish(self) -> None:
        hosts = {name: info.address for name, info in self._alive.items()}
        nodes = {name: info.node for name, info in self._alive.items()}
        units = {lease.unit: (lease.host, lease.epoch) for lease in self._units.all if lease.host in self._alive}
        self._count += 1
        self._table = Table((self._term << 32) + self._count, hosts, units, self._draining, nodes)
        self._news.set()
        self._news = asyncio.Event()

    # What others ask -------------------------------------------------------------------------------------------
    async def table(self, after: int) -> Table:
        """The table, as soon as its version is above `after`; at the latest after 10 s, changed or not."""
        if self._table.version <= after:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), POLL_S)
        return self._table

    async def loads(self) -> dict[str, dict[str, Any]]:
        """Every living host: its address book entry and its load (empty if it does not answer within a second)."""
        names = list(self._alive)
        found = await asyncio.gather(*(self._load(name) for name in names), return_exceptions=True)
        return {
            name: {
                "pid": self._alive[name].pid,
                **({"status": "draining"} if name in self._leaving else {}),
                **(asdict(load) if isinstance(load, Load) else {}),
            }
            for name, load in zip(names, found, strict=True)
            if name in self._alive
        }

    async def _load(self, name: str) -> Load:
        handle = self._handles[name]
        load: Load = await asyncio.wait_for(_ref(handle.load.remote()), LOAD_S)
        return load

    # Planned moves ---------------------------------------------------------------------------------------------
    async def migrate(self, uid: str, shard: int, host: str | None, patience_s: float) -> Migrated:
        """Move one session to a host, by default the one with the fewest units, when its turn has ended.

        Raises:
            NotFound: There is no such host.
            NoCapacity: No host can take it, or none serves it at the moment.
            SessionBusy: Its turn has not ended in time.
        """
        until, source = time.monotonic() + patience_s, ""
        while True:
            lease = self._units.of_session(uid, shard)
            if lease is None or lease.host not in self._alive:
                await self._news_before(until)
                continue
            source = source or lease.host
            target = choose(host, lease.host, self._hosts())
            home = self._units.home(shard) == target
            began = time.monotonic()
            try:
                gone = await self._let_go(uid, lease, None if home else target, until - began)
            except (ray.exceptions.RayError, Moved, KeyError):
                await asyncio.sleep(RETRY_S)  # its host is lost, or it has moved of itself: go by what is true now
                continue
            pause_s = await self._arrived(uid, gone)
            if home if gone.lease is None else gone.lease.host == target:
                return Migrated(source, target, round(pause_s * 1000, 3))

    async def _arrived(self, uid: str, gone: Gone) -> float:
        """Tell its new host and the routers; gives how long it took no turns."""
        began = time.monotonic()
        if gone.lease is None:
            self._units.forget(unit_of_session(uid))
        else:
            self._units.learn([gone.lease])
            self._own(gone.lease.host, [gone.lease])
        self._publish()
        return gone.pause_s + time.monotonic() - began

    async def _let_go(self, uid: str, lease: Lease, host: str | None, patience_s: float) -> Gone:
        gone: Gone = await self._handles[lease.host].let_go.remote(uid, lease, host, max(0.0, patience_s), self._term)
        return gone

    async def drain_host(self, name: str, timeout_s: float) -> Drained:
        """Let a host give away all it has, then end: its supervisor starts another one. What it has after `timeout_s`
        are sessions whose turn runs; it goes on giving them away.

        Raises:
            NotFound: There is no such host.
            NoCapacity: No other host could take what it has.
        """
        choose(name, "", [replace(view, draining=False) for view in self._hosts()])
        choose(None, name, self._hosts())
        await self._handles[name].begin_drain.remote(self._term)
        units = len(self._units.of(name))
        done = self._begin_drain(name)
        await asyncio.wait([done], timeout=timeout_s)
        left = len(self._units.of(name)) if name in self._alive else 0
        return Drained(name, units - left, left, done.done())

    def _begin_drain(self, name: str) -> asyncio.Task[None]:
        self._leaving.add(name)
        return self._spawn(self._retire(name))

    async def _retire(self, name: str) -> None:
        await self._settle_surely()
        while name in self._alive and self._units.of(name):
            await self._news.wait()
        log.info("host %s has given everything away", name)
        with contextlib.suppress(ray.exceptions.RayError, KeyError):
            await self._handles[name].retire.remote(self._term)

    async def _follow_nodes(self) -> None:
        """Hosts on a node that is about to go give all they have away, as soon as the cluster says so."""
        nodes = RayNodes(NodeBeat())
        while True:
            with contextlib.suppress(ConnectionError):
                draining = await nodes.draining()
                for name in [name for name, info in self._alive.items() if info.node in draining]:
                    if name not in self._leaving:
                        log.warning("host %s leaves its node, which is draining", name)
                        self._begin_drain(name)
            await asyncio.sleep(NODES_S)

    def _hosts(self) -> list[HostView]:
        return [
            HostView(name, info.node, len(self._units.of(name)), draining=name in self._leaving)
            for name, info in self._alive.items()
        ]

    async def _news_before(self, until: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._news.wait()
        except TimeoutError:
            raise NoCapacity("No host serves this session at the moment. Try again.", retry_after_s=1) from None

    async def drain(self, timeout_s: float) -> bool:
        """No host takes new turns any more; whether all that ran have ended."""
        self._draining = True
        self._publish()
        handles = [self._handles[name] for name in self._alive]
        ended = await asyncio.gather(*(_ref(h.drain.remote(timeout_s)) for h in handles), return_exceptions=True)
        return all(done is True for done in ended)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _is_that(info: HostInfo) -> bool:
    # Processes may read the time of boot, which start times are counted from, a little differently.
    try:
        return abs(psutil.Process(info.pid).create_time() - info.started) < SAME_START_S
    except psutil.NoSuchProcess:
        return False


async def _ref(ref: Any) -> Any:
    return await ref


def placement_handle() -> Any:
    """The placement actor that last announced itself. Raises LookupError when there is none."""
    name = internal_kv._internal_kv_get(_KEY)
    if name is None:
        raise LookupError("no placement has started yet")
    try:
        return ray.get_actor(name.decode(), namespace=NAMESPACE)
    except ValueError as error:
        raise LookupError(str(error)) from error


async def follow_table(update: Callable[[Table], None]) -> None:
    """Hand every new table to `update`, for ever, whatever becomes of placement."""
    version = 0
    while True:
        try:
            table: Table = await placement_handle().table.remote(version)
            update(table)
            version = table.version
        except (ray.exceptions.RayError, LookupError):
            await asyncio.sleep(RETRY_S)
        except Exception:
            log.exception("a table could not be used")  # the next one may; a router without tables serves nobody
            await asyncio.sleep(RETRY_S)
