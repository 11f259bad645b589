"""Warm spares: instances that are constructed and idle, one of which a restart takes over in a few milliseconds."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from supervisors.backend import TreeNode
from supervisors.exits import SHUTDOWN
from supervisors.incarnation import incarnation
from supervisors.ray_child import ChildActor, within
from supervisors.ray_memory import Fenced, Note
from supervisors.spec import ChildSpec

if TYPE_CHECKING:
    from supervisors.ray_backend import RayBackend

log = logging.getLogger(__name__)

_QUIET_S = 0.5
"""How long after a child's start its next spare is begun: a new process costs the CPU that the child needs first."""


class Spares:
    """The spares of one supervisor. They are no children: nobody restarts them, but a new one is made in time."""

    def __init__(self, backend: RayBackend) -> None:
        self._backend = backend
        self._wanted: dict[str, ChildSpec] = {}
        self._spares: list[ChildActor] = []
        self._numbers = count(1)
        self._filling = asyncio.Lock()
        self._closed = False

    def __iter__(self) -> Iterator[ChildActor]:
        return iter(tuple(self._spares))

    def want(self, child: ChildActor) -> None:
        """The child runs: keep as many spares as its specification says."""
        if child.spec.spares:
            self._wanted[child.key] = child.spec
            self._backend.spawn(self._fill(child.key))

    def take(self, child: ChildActor) -> ChildActor | None:
        """A spare for this start, if one is ready; it is none any more.

        Others are ended then: next to an actor that is made now they are former lives, which may hold no name after it.
        """
        for spare in self._spares:
            if spare.ready and spare.key == child.key and spare.spec == child.spec and not spare.dead.done():
                self._spares.remove(spare)
                return spare
        for spare in self:
            if spare.key == child.key:
                spare.ready = False
                self._backend.spawn(self._end(spare))
        return None

    def adopt(self, spare: ChildActor) -> None:
        """Take over a spare of the supervisor's former life."""
        spare.ready = True
        self._spares.append(spare)

    def open(self) -> None:
        """Follow those that were adopted."""
        for spare in self._spares:
            self._wanted[spare.key] = spare.spec
            self._backend.spawn(self._follow(spare))

    def notes(self) -> list[Note]:
        """What the supervisor's memory keeps of them."""
        return [spare.note for spare in self._spares]

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
            for spare in self._spares
        ]

    async def drop(self, key: str) -> None:
        """The child will not be restarted: end its spares."""
        self._wanted.pop(key, None)
        await asyncio.gather(*(self._end(spare) for spare in self if spare.key == key))

    async def close(self) -> None:
        """End them all."""
        self._closed = True
        self._wanted.clear()
        await asyncio.gather(*map(self._end, self))

    async def _end(self, spare: ChildActor) -> None:
        spare.asked = True
        if spare.handle is not None:
            await self._backend.end(spare, SHUTDOWN)
            await spare.dead
            await spare.process.wait_gone()

    async def _fill(self, key: str) -> None:
        """One after the other, and not at once."""
        async with self._filling:
            await asyncio.sleep(_QUIET_S)
            while (spec := self._wanted.get(key)) is not None and self._count(key) < spec.spares:
                if not await self._made(key, spec):
                    return  # the child's next start tries again

    def _count(self, key: str) -> int:
        return Counter(spare.key for spare in self._spares)[key]

    async def _made(self, key: str, spec: ChildSpec) -> bool:
        name = incarnation(spec.name or self._backend.path_of(key, spec))
        spare = ChildActor(key, next(self._numbers), spec, name, "spare")
        self._spares.append(spare)
        try:
            await self._backend.make(spare)
            await within(self._backend.vitals.begin(spare), spec.start_timeout_or_none)
        except Fenced:
            raise
        except Exception as error:
            log.warning("no spare of child %r: %s: %s", spec.id, type(error).__name__, error)
            await self._end(spare)
            self._spares.remove(spare)
            return False
        spare.ready = spare.started = True
        self._backend.spawn(self._follow(spare))
        return True

    async def _follow(self, spare: ChildActor) -> None:
        """Until it is dead; one that died by itself is replaced."""
        await spare.dead
        if spare in self._spares:
            self._spares.remove(spare)
            await self._fill(spare.key)
