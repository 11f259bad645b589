"""Warm spares: processes that are up and idle, one of which a start takes over in a few milliseconds.

A child that is declared has spares of its own, constructed with its arguments. Where children are started on demand,
those that are alike share a pool: constructed for a template's children without further arguments, blank for others.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from ray.actor import ActorClass

from supervisors.backend import TreeNode
from supervisors.exits import SHUTDOWN
from supervisors.incarnation import incarnation
from supervisors.ray_child import ChildActor, within
from supervisors.ray_memory import Fenced, Note, Pattern
from supervisors.ray_process import class_of
from supervisors.spec import ChildSpec, SupervisorSpec

if TYPE_CHECKING:
    from supervisors.ray_backend import RayBackend

log = logging.getLogger(__name__)

_QUIET_S = 0.5
"""How long nothing has to start before the next spare is begun: a process costs the CPU that children need first."""
_PATIENCE = 10
"""After so many times of that it is begun all the same."""


class _Pool:
    """The spares of one pattern, and the keys of the children that they are for."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern, self.essence = pattern, _essence(pattern)
        self.members: set[str] = set()
        self.spares: list[ChildActor] = []
        self.failed = False

    @property
    def lacks(self) -> bool:
        """Whether another one is to be made."""
        return bool(self.members) and not self.failed and len(self.spares) < self.pattern.spec.spares


class Spares:
    """The spares of one supervisor. They are no children: nobody restarts them, but a new one is made in time."""

    def __init__(self, backend: RayBackend) -> None:
        self._backend = backend
        self._on_demand = False
        self._template: ChildSpec | None = None
        self._pools: list[_Pool] = []
        self._numbers = count(1)
        self._is_filling = self._is_disturbed = self._closed = False

    def __iter__(self) -> Iterator[ChildActor]:
        return iter([spare for pool in self._pools for spare in pool.spares])

    def supervise(self, spec: SupervisorSpec) -> None:
        """What the supervisor supervises from now on."""
        self._on_demand = spec.is_dynamic
        self._template = spec.children[0] if spec.strategy == "simple_one_for_one" else None

    def want(self, child: ChildActor) -> None:
        """The child runs: keep as many spares as its specification says."""
        self.expect(child.key, child.spec)
        if child.spec.spares:
            self._pool_for(self._pattern(child.key, child.spec)).failed = False
            self._refill()

    def expect(self, key: str, spec: ChildSpec) -> None:
        """The child may need one; of what it was before it needs none."""
        mine = self._pool_for(self._pattern(key, spec)) if spec.spares else None
        for pool in self._pools:
            if pool is mine:
                pool.members.add(key)
            elif key in pool.members:
                self._backend.spawn(self._leave(pool, key))

    def take(self, child: ChildActor) -> ChildActor | None:
        """A spare for this start, if one is ready; it is none any more.

        Otherwise the child's own are ended: beside an actor that is made now they are former lives of it, which may
        hold no name after it.
        """
        if not child.spec.spares:
            return None
        self._is_disturbed = True
        pool = self._find(self._pattern(child.key, child.spec))
        ready = [spare for spare in pool.spares if self._is_good(spare)] if pool is not None else []
        if pool is None:
            return None
        if not ready:
            if pool.pattern.key:
                for spare in pool.spares:
                    spare.ready = False
                    self._backend.spawn(self._end(spare))
            return None
        siblings = self._backend.siblings(child) if child.spec.anti_affinity else Counter[str]()
        spare = min(ready, key=lambda spare: siblings[spare.node])
        pool.spares.remove(spare)
        self._refill()
        return spare

    def _is_good(self, spare: ChildActor) -> bool:
        return (
            spare.ready
            and not spare.asked
            and not spare.dead.done()
            and not self._backend.places.is_avoided(spare.node)
        )

    def can_adopt(self, pattern: Pattern | None) -> bool:
        """Whether a spare of the supervisor's former life is one of this life's too."""
        return pattern is not None and self._find(pattern) is not None

    def adopt(self, spare: ChildActor) -> None:
        """Take it over."""
        assert spare.pattern is not None
        spare.ready = True
        self._pool_for(spare.pattern).spares.append(spare)

    def open(self) -> None:
        """Follow those that were adopted."""
        for spare in self:
            self._backend.spawn(self._follow(spare))
        self._refill()

    def notes(self) -> list[Note]:
        """What the supervisor's memory keeps of them."""
        return [spare.note for spare in self]

    def nodes(self) -> list[TreeNode]:
        """What `tree()` shows of them."""
        return [
            {
                "id": spare.spec.id,
                "kind": "spare",
                "pid": spare.process.pid or None,
                "node": spare.node or None,
                "name": spare.name,
                "status": "ready" if spare.ready else "starting",
                "restarts": 0,
                "last_exit": None,
                "started_at": None,
                "uptime_s": None,
                "queue": None,
                "children": [],
            }
            for spare in self
        ]

    async def drop(self, key: str) -> None:
        """The child will not be restarted: end the spares that nobody else needs."""
        await asyncio.gather(*(self._leave(pool, key) for pool in list(self._pools) if key in pool.members))

    async def close(self) -> None:
        """End them all."""
        self._closed = True
        await asyncio.gather(*map(self._end, self))

    async def _leave(self, pool: _Pool, key: str) -> None:
        pool.members.discard(key)
        if not pool.members:
            for spare in pool.spares:
                spare.asked = True  # before anything is awaited: it must not be taken any more
            await asyncio.gather(*map(self._end, list(pool.spares)))
        if not pool.members and not pool.spares and pool in self._pools:
            self._pools.remove(pool)

    async def _end(self, spare: ChildActor) -> None:
        spare.asked = True
        if spare.handle is not None:
            await self._backend.end(spare, SHUTDOWN)
            await spare.dead
            await spare.process.wait_gone()

    def _pattern(self, key: str, spec: ChildSpec) -> Pattern:
        """What a spare of this child is made after."""
        if not self._on_demand:
            return Pattern(key, spec)
        common = self._template or replace(spec, id=class_of(spec.start).__name__, args=(), kwargs={})
        is_plain = _alike((spec.args, spec.kwargs), (common.args, common.kwargs))
        return Pattern("", replace(spec, id=common.id, args=common.args, kwargs=common.kwargs), blank=not is_plain)

    def _find(self, pattern: Pattern) -> _Pool | None:
        essence = _essence(pattern)
        return next((pool for pool in self._pools if _alike(pool.essence, essence)), None)

    def _pool_for(self, pattern: Pattern) -> _Pool:
        pool = self._find(pattern)
        if pool is None:
            pool = _Pool(pattern)
            self._pools.append(pool)
        return pool

    def _refill(self) -> None:
        self._is_disturbed = True
        if not self._is_filling:
            self._is_filling = True
            self._backend.spawn(self._fill())

    async def _fill(self) -> None:
        """One after the other, and not while children start."""
        try:
            while any(pool.lacks for pool in self._pools) and not self._closed:
                await self._wait_quiet()
                pool = next((pool for pool in self._pools if pool.lacks and not self._closed), None)
                if pool is not None:
                    pool.failed = not await self._made(pool)  # the next start of a child tries again
        finally:
            self._is_filling = False

    async def _wait_quiet(self) -> None:
        for _ in range(_PATIENCE):
            if not self._is_disturbed:
                return
            self._is_disturbed = False
            await asyncio.sleep(_QUIET_S)

    async def _made(self, pool: _Pool) -> bool:
        pattern = pool.pattern
        spec = pattern.spec
        # Of a pool nobody knows yet whose life it will be: it is a process of its own.
        key = pattern.key or f"spare-{secrets.token_hex(4)}"
        name = incarnation(spec.name or self._backend.path_of(key, spec))
        spare = ChildActor(pattern.key, next(self._numbers), spec, name, "spare", pattern)
        pool.spares.append(spare)
        try:
            await self._backend.make(spare)
            await within(self._backend.vitals.begin(spare), spec.start_timeout_or_none)
        except Fenced:
            raise
        except Exception as error:
            log.warning("no spare of child %r: %s: %s", spec.id, type(error).__name__, error)
            was_dropped = spare.asked
            await self._end(spare)
            pool.spares.remove(spare)
            return was_dropped
        spare.ready = spare.started = True
        self._backend.spawn(self._follow(spare))
        return True

    async def _follow(self, spare: ChildActor) -> None:
        """Until it is dead; one that died by itself is replaced."""
        await spare.dead
        await spare.process.wait_gone()
        for pool in self._pools:
            if spare in pool.spares:
                pool.spares.remove(spare)
        self._refill()


def _essence(pattern: Pattern) -> tuple[object, ...]:
    """What two patterns have in common that are the same: Ray's actor classes are others after each way over a wire."""
    start = pattern.spec.start
    options = start._default_options if isinstance(start, ActorClass) else {}  # type: ignore[attr-defined]
    return pattern.key, pattern.blank, replace(pattern.spec, start=class_of(start)), options


def _alike(one: object, other: object) -> bool:
    """Arguments may be such that cannot be compared."""
    try:
        return one == other
    except Exception:
        return False
