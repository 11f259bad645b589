"""The placement that leads: knows the living hosts, moves the units of dead ones, and tells the routers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ray

from dspex_actors.config import Settings
from dspex_actors.errors import NoCapacity, StoreUnavailable
from dspex_actors.resources.session import Guest
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
from dspex_actors.sessions.ray_book import RETRY_S, Book, Roll
from dspex_actors.sessions.ray_dedicated import Dedications
from dspex_actors.sessions.ray_moves import Moves
from dspex_actors.sessions.ray_probation import Probations
from dspex_actors.sessions.ray_seek import actor_named
from dspex_actors.sessions.ray_watch import Watch
from dspex_actors.store.port import Lease, Store

log = logging.getLogger(__name__)

POLL_S = 10.0
GATHER_S = 5.0
"""After a start: how long to wait for as many hosts as are wanted before giving units to fewer."""
LOAD_S = 1.0
HIDDEN_S = 0.5


class Leader:
    """The one place that moves units. Every move is a compare-and-set of leases in the store.

    Args:
        settings: How many hosts are wanted.
        store: Where the leases are.
        book: What it knows, under its term.
        watch: Tells it of hosts and nodes that are lost.
        name: The actor's.
        guests: The dedicated sessions, with their leases.
    """

    def __init__(
        self, settings: Settings, store: Store, book: Book, watch: Watch, name: str,
        guests: Sequence[tuple[Guest, Lease]],
    ) -> None:  # fmt: skip
        self._settings, self._store, self._book, self._watch = settings, store, book, watch
        self._name = name
        self._moves = Moves(book, self._settle_surely)
        self._state_version = 0
        self._probations = Probations(book, self._moves, self._settle_surely)
        self._dedications = Dedications(book, self._moves, settings, self._is_hidden, guests)
        self._dead: set[str] = set()
        self._gathered = self._looks_again = False

    @property
    def term(self) -> int:
        """What its commands carry."""
        return self._book.term

    def begin(self) -> None:
        """It has been announced: from now on it listens to its watch, and keeps the pool of hosts."""
        watch = self._watch
        watch.died, watch.lost, watch.draining = self._died, self._lost, self._drains
        self._book.spawn(self._dedications.follow())

    # Hosts -----------------------------------------------------------------------------------------------------
    def resume(self, roll: Roll) -> None:
        """Go on from what another placement knew, which is gone: nobody is waited for."""
        for info, handle in roll.hosts:
            if not self._admit(info, handle):
                self._dead.add(info.name)
        self._gathered = True
        self._book.spawn(self._settle_surely())
        for name in list(self._book.alive):
            self._book.spawn(self._greet_surely(name))

    async def attach(self, info: HostInfo, handle: Any) -> int:
        """A host is ready for work; gives the term. It learns what it owns by `own`, what it lost by `disown`.

        Raises:
            NoCapacity: Its node is lost: it is not to be heard, and should soon end.
        """
        if info.node in self._watch.gone:
            raise NoCapacity(f"Node {info.node} is lost; hosts there are given up.", retry_after_s=1)
        if not self._admit(info, handle):
            self._dead.add(info.name)
            self._book.spawn(self._settle_surely())
            return self._book.term
        if not self._gathered:
            self._book.spawn(self._gather())
        await self._greet(info.name)
        await self._settle()
        return self._book.term

    def _admit(self, info: HostInfo, handle: Any) -> bool:
        """Whether the host lives."""
        name, is_new = info.name, info.name not in self._book.alive
        if is_new:
            if not self._watch.begin(info, handle):
                return False
            self._dead.discard(name)
            self._book.handles[name], self._book.alive[name] = handle, info
            log.info("host %s attached, pid %s", name, info.pid)
            self._book.spawn(self._moves.hear(name))
        if info.probation is not None and name not in self._book.probation:
            self._probations.resume(name, info.probation)
        if info.dedicated is not None and name not in self._book.dedicated:
            self._dedications.resume(name, info.dedicated)
        if (info.draining or info.node in self._watch.leaving) and name not in self._book.leaving:
            self._moves.begin_drain(name)
        return True

    async def _greet(self, name: str) -> None:
        """Tell a host what it owns, and by that who leads."""
        mine = {lease.unit: lease.epoch for lease in self._book.units.of(name)}
        others = [lease.unit for lease in self._book.units.all if lease.unit not in mine]
        handle = self._book.handles[name]
        await handle.disown.remote(others, self._book.term)
        await handle.own.remote(mine, self._book.term)

    async def _greet_surely(self, name: str) -> None:
        while name in self._book.alive:
            try:
                await self._greet(name)
            except (ray.exceptions.RayError, KeyError) as error:
                log.info("host %s has not heard who leads: %s", name, type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def stay(self, name: str) -> None:
        """Returns when that host has been given up: if it lives, it may attach again."""
        while name in self._book.alive:
            await self._book.news.wait()

    def _died(self, name: str) -> None:
        log.warning("host %s died", name)
        self._give_up(name)
        self._book.spawn(self._settle_surely())

    def _lost(self, node: str) -> None:
        """Whatever its hosts still do there, they do not commit it: their epochs are over."""
        for name in [name for name, info in self._book.alive.items() if info.node == node]:
            log.warning("host %s is lost with its node", name)
            self._watch.end(name)
            self._give_up(name)
        self._book.spawn(self._settle_surely())

    def _give_up(self, name: str) -> None:
        info = self._book.alive.pop(name)
        del self._book.handles[name]
        self._dead.add(name)
        self._book.leaving.discard(name)
        self._book.dedicated.pop(name, None)
        if info.node == self._watch.here:
            for path in (Path(info.address), lifeline_of(info.address)):
                path.unlink(missing_ok=True)

    def _drains(self, node: str) -> None:
        """Hosts on a node that is about to go give all they have away."""
        for name, info in list(self._book.alive.items()):
            if info.node == node and name not in self._book.leaving:
                log.warning("host %s leaves its node, which is draining", name)
                self._moves.begin_drain(name)

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
                await self._raise_state_version(await self._move())
            if self._gathered:  # or routers would leave hosts that are about to attach again
                self._book.publish()

    async def _move(self) -> set[str]:
        """Give lost hosts' units away, and begin what else is planned; gives the hosts that are hidden."""
        alive = in_turns(self._book.hosts())
        if not self._book.units.all and alive:
            await asyncio.to_thread(self._store.seed_leases, first_owners(alive, self._settings.hosts))
            await self._book.read()
        hidden = {name for name in self._book.units.owners if await self._is_hidden(name)}
        if hidden and not self._looks_again:  # nobody tells when one of them dies before it has attached
            self._looks_again = True
            self._book.spawn(self._look_again())
        await self._dedications.rehouse()
        found = self._book.units.plan(self._book.hosts(), self._settings.hosts, hidden)
        if found.heirs:
            await self._check_term()
        for lost, heirs in found.heirs.items():
            await self._inherit(lost, heirs)
        for carry in found.carries:
            self._moves.begin(carry)
        return hidden

    async def _check_term(self) -> None:
        """Whoever was cut off while another placement began takes nothing from the hosts of that one."""
        if (latest := await asyncio.to_thread(self._store.term)) > self._book.term:
            log.warning("a placement of term %s leads now, this one of term %s ends", latest, self._book.term)
            os._exit(0)

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

    async def _raise_state_version(self, hidden: set[str]) -> None:
        """Let states be written in a newer form as soon as every host reads it, standbys included."""
        readable = readable_by_all(self._book.alive.values())
        if readable > self._state_version and not hidden:
            self._state_version = await asyncio.to_thread(self._store.raise_state_version, readable)

    async def _is_hidden(self, name: str) -> bool:
        """Whether a host may be alive although it is not attached: it is about to, after a restart of placement."""
        if name in self._book.alive or name in self._dead:
            return False
        try:
            handle = await actor_named(name)
        except LookupError:
            return True
        if handle is None:
            self._dead.add(name)
        return handle is not None

    # What others ask -------------------------------------------------------------------------------------------
    async def table(self, after: int) -> Table:
        """The table, as soon as its version is above `after`; at the latest after 10 s, changed or not."""
        if self._book.table.version <= after:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._book.news.wait(), POLL_S)
        return self._book.table

    async def roll(self, after: int) -> Roll:
        """What one that stands by has to know, as soon as it is newer than `after`; at the latest after 10 s."""
        version = (await self.table(after)).version
        return Roll(version, self._watch.here, tuple(map(self._as_told, self._book.alive)))

    def _as_told(self, name: str) -> tuple[HostInfo, Any]:
        book, told = self._book, self._book.alive[name]
        now = replace(
            told, draining=name in book.leaving, probation=book.probation.get(name), dedicated=book.dedicated.get(name)
        )
        return now, book.handles[name]

    async def loads(self) -> dict[str, dict[str, Any]]:
        """Every living host: its address book entry and its load (empty if it does not answer within a second); and
        this placement itself, for whoever asks which one leads."""
        names = list(self._book.alive)
        found = await asyncio.gather(*(self._load(name) for name in names), return_exceptions=True)
        return {self._name: {}} | {
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


async def _ref(ref: Any) -> Any:
    return await ref
