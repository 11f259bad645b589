"""Placement as a Ray actor: knows the living hosts, moves the units of dead ones, and tells the routers.

What survives a crash: the leases, which are in the store. Hosts attach again to the next placement, which takes a
higher term; meanwhile turns go on by the table that the routers have.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.experimental import internal_kv

from dspex_actors.config import Settings
from dspex_actors.errors import StoreUnavailable
from dspex_actors.sessions.keep import keep_what_is_here
from dspex_actors.sessions.load import Load
from dspex_actors.sessions.placement import (
    Drained,
    HostInfo,
    Migrated,
    Table,
    first_owners,
    in_turns,
    lifeline_of,
    readable_by_all,
)
from dspex_actors.sessions.ray_book import RETRY_S, Book
from dspex_actors.sessions.ray_dedicated import Dedications
from dspex_actors.sessions.ray_moves import Moves
from dspex_actors.sessions.ray_probation import Probations
from dspex_actors.store.port import Lease, Store
from supervisors import lifeline

log = logging.getLogger(__name__)

NAMESPACE = "dspex"
_KEY = b"dspex:placement"
POLL_S = 10.0
GATHER_S = 5.0
"""After a start: how long to wait for as many hosts as are wanted before giving units to fewer."""
LOAD_S = 1.0
HIDDEN_S = 0.5
SAME_START_S = 2.0


class PlacementActor:
    """The one place that moves units. Every move is a compare-and-set of leases in the store."""

    def __init__(self, settings: dict[str, Any], name: str) -> None:
        from dspex_actors.store.opening import open_store

        self._settings = Settings(**settings)
        self._store: Store = open_store(self._settings.database_url)
        term = self._store.take_term()
        self._store.inherit(name, name)  # what is done for the first time takes longest
        self._book = Book(self._store, term)
        self._moves = Moves(self._book, self._settle_surely)
        self._state_version = self._store.state_version()
        self._probations = Probations(self._book, self._moves, self._settle_surely)
        self._dedications = Dedications(self._book, self._moves, self._settings, self._is_hidden)
        self._watches: dict[str, int] = {}
        self._dead: set[str] = set()
        self._gathered = self._following = self._looks_again = False
        keep_what_is_here()
        internal_kv._internal_kv_put(_KEY, name.encode(), overwrite=True)

    # Hosts -----------------------------------------------------------------------------------------------------
    async def attach(self, info: HostInfo) -> int:
        """A host is ready for work; gives the term. It learns what it owns by `own`, what it lost by `disown`."""
        if info.name not in self._book.alive:
            if not self._watch(info):
                self._dead.add(info.name)
                self._book.spawn(self._settle_surely())
                return self._book.term
            self._book.handles[info.name] = ray.get_actor(info.name, namespace=NAMESPACE)
            self._book.alive[info.name] = info
            log.info("host %s attached, pid %s", info.name, info.pid)
            self._book.spawn(self._moves.hear(info.name))
            if info.probation is not None:
                self._probations.resume(info.name, info.probation)
            if info.dedicated is not None:
                self._dedications.resume(info.name, info.dedicated)
            if info.draining:
                self._moves.begin_drain(info.name)
        if not self._gathered:
            self._book.spawn(self._gather())
        if not self._following:
            self._following = True
            self._book.spawn(self._moves.follow_nodes())
            self._book.spawn(self._dedications.follow())
        mine = {lease.unit: lease.epoch for lease in self._book.units.of(info.name)}
        others = [lease.unit for lease in self._book.units.all if lease.unit not in mine]
        handle = self._book.handles[info.name]
        await handle.disown.remote(others, self._book.term)
        await handle.own.remote(mine, self._book.term)
        await self._settle()
        return self._book.term

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
        info = self._book.alive.pop(name)
        del self._book.handles[name]
        self._dead.add(name)
        self._book.leaving.discard(name)
        self._book.dedicated.pop(name, None)
        for path in (Path(info.address), lifeline_of(info.address)):
            path.unlink(missing_ok=True)
        self._book.spawn(self._settle_surely())

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
        async with self._book.lock:
            self._gathered = self._gathered or len(self._book.alive) >= self._settings.hosts
            if self._gathered and not self._book.draining:
                await self._move()
                await self._raise_state_version()
            self._book.publish()

    async def _move(self) -> None:
        alive = in_turns(self._book.hosts())
        if not self._book.units.all and alive:
            await asyncio.to_thread(self._store.seed_leases, first_owners(alive, self._settings.hosts))
            await self._book.read()
        hidden = {name for name in self._book.units.owners if self._is_hidden(name)}
        if hidden and not self._looks_again:  # nobody tells when one of them dies before it has attached
            self._looks_again = True
            self._book.spawn(self._look_again())
        self._dedications.rehouse()
        found = self._book.units.plan(self._book.hosts(), self._settings.hosts, hidden)
        for lost, heirs in found.heirs.items():
            await self._inherit(lost, heirs)
        for carry in found.carries:
            self._moves.begin(carry)

    async def _look_again(self) -> None:
        await asyncio.sleep(HIDDEN_S)
        self._looks_again = False
        await self._settle_surely()

    async def _inherit(self, lost: str, heirs: Mapping[str, Sequence[Lease]]) -> None:
        """Give the units of a host that is gone to others, in one step where it is one."""
        *some, last = heirs
        for heir in some:
            self._book.take_in(heir, await asyncio.to_thread(self._store.take_over, heirs[heir], heir))
        held = await asyncio.to_thread(self._store.inherit, lost, last)
        self._book.units.forget_sessions_of(lost)
        self._book.take_in(last, held)
        log.warning("%s units of %s moved to %s", sum(map(len, heirs.values())), lost, ", ".join(heirs))
        if self._book.units.of(lost):  # another placement, or the lost one itself, moved them: its word is in the store
            await self._book.read()

    async def _raise_state_version(self) -> None:
        """Let states be written in a newer form as soon as every host reads it, standbys included."""
        readable = readable_by_all(self._book.alive.values())
        if readable > self._state_version and not any(map(self._is_hidden, self._book.units.owners)):
            self._state_version = await asyncio.to_thread(self._store.raise_state_version, readable)

    def _is_hidden(self, name: str) -> bool:
        """Whether a host may be alive although it is not attached: it is about to, after a restart of placement."""
        if name in self._book.alive or name in self._dead:
            return False
        try:
            ray.get_actor(name, namespace=NAMESPACE)
        except ValueError:
            self._dead.add(name)
            return False
        return True

    # What others ask -------------------------------------------------------------------------------------------
    async def table(self, after: int) -> Table:
        """The table, as soon as its version is above `after`; at the latest after 10 s, changed or not."""
        if self._book.table.version <= after:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._book.news.wait(), POLL_S)
        return self._book.table

    async def loads(self) -> dict[str, dict[str, Any]]:
        """Every living host: its address book entry and its load (empty if it does not answer within a second)."""
        names = list(self._book.alive)
        found = await asyncio.gather(*(self._load(name) for name in names), return_exceptions=True)
        return {
            name: {
                "pid": self._book.alive[name].pid,
                **({"status": "draining"} if name in self._book.leaving else {}),
                **({"kind": "probation"} if name in self._book.probation else {}),
                **self._dedications.shown(name),
                **(asdict(load) if isinstance(load, Load) else {}),
            }
            for name, load in zip(names, found, strict=True)
            if name in self._book.alive
        }

    async def _load(self, name: str) -> Load:
        handle = self._book.handles[name]
        load: Load = await asyncio.wait_for(_ref(handle.load.remote()), LOAD_S)
        return load

    async def migrate(self, uid: str, shard: int, host: str | None, patience_s: float) -> Migrated:
        """Move one session to a host, by default the one with the fewest units, when its turn has ended.

        Raises:
            NotFound: There is no such host.
            NoCapacity: No host can take it, or none serves it at the moment.
            SessionBusy: Its turn has not ended in time.
        """
        return await self._dedications.migrate(uid, shard, host, patience_s)

    async def house(self, uid: str, patience_s: float) -> None:
        """A dedicated session was created: see to it that it has a host of its own.

        Raises:
            NoCapacity: There is none in time, or there may not be more of them.
        """
        await self._dedications.house(uid, patience_s)

    async def vacate(self) -> None:
        """A dedicated session was deleted: its host ends."""
        await self._dedications.vacate()

    async def drain_host(self, name: str, timeout_s: float) -> Drained:
        """Let a host give away all it has, then end: its supervisor starts another one. What it has after `timeout_s`
        are sessions whose turn runs; it goes on giving them away.

        Raises:
            NotFound: There is no such host.
            NoCapacity: No other host could take what it has.
        """
        return await self._moves.drain(name, timeout_s)

    async def recycle(self, name: str, reason: str) -> None:
        """Replace a host that is worn out, by one that is ready.

        Raises:
            NoCapacity: There is none at the moment, or another host leaves.
        """
        if name not in self._book.probation:
            self._moves.recycle(name, reason)

    async def put_on_probation(self, uid: str, shard: int, patience_s: float) -> None:
        """Move a session to a standby that does nothing else while one suspect turn of it runs.

        Raises:
            NoCapacity: None has become free in time.
        """
        await self._probations.put(uid, shard, patience_s)

    async def drain(self, timeout_s: float) -> bool:
        """No host takes new turns any more; whether all that ran have ended."""
        self._book.draining = True
        self._book.publish()
        handles = [self._book.handles[name] for name in self._book.alive]
        ended = await asyncio.gather(*(_ref(h.drain.remote(timeout_s)) for h in handles), return_exceptions=True)
        return all(done is True for done in ended)


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
