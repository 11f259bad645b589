"""What a supervisor that did not live to stop its children has left: found by its memory, and taken over or ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from supervisors import messages as m
from supervisors.child import Child
from supervisors.exits import Exit
from supervisors.ray_child import ChildActor
from supervisors.ray_memory import Kept, Note, Shelf, end_below, notes_below
from supervisors.ray_watch import actor_record, end_actor, exit_of, find_actor, is_alive, is_dead, record_of
from supervisors.spec import ChildSpec, SupervisorSpec

if TYPE_CHECKING:
    from supervisors.ray_backend import RayBackend

_LATE_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""When to look again for an actor that was about to be made when its maker died."""


async def sweep(shelf: Shelf, namespace: str, path: str, *, itself: bool) -> None:
    """End everything that supervisors below a path have started, and forget it; `itself`: that of the path's own too.

    Without its term a supervisor starts nothing more; one that was just about to is ended in the first round, what it
    made in the next.
    """
    await end_below(shelf, namespace, path, "term", itself=itself)
    while True:
        notes = await notes_below(shelf, namespace, path, itself=itself)
        living = [handle for name in notes if (handle := find_actor(name, namespace)) is not None]
        if not living:
            break
        await asyncio.gather(*map(end_actor, living))
    await end_below(shelf, namespace, path, "memory", itself=itself)


class Adoption:
    """Takes over the living children of a supervisor's former life, before it begins.

    Guarantees: of each key the instance that the memory names is taken over, if it lives and its start was over; any
    other is ended, and seen to be gone, before anything is started.
    """

    def __init__(self, backend: RayBackend, namespace: str, kept: Kept, spec: SupervisorSpec) -> None:
        self._backend, self._namespace, self._kept = backend, namespace, kept
        self._specs: dict[str, ChildSpec] = {child.id: child for child in spec.children}
        self._specs |= {old.key: old.spec for old in kept.memory.children if old.spec is not None}
        self._current = {old.key: old for old in kept.memory.children}
        self._found: dict[str, tuple[int, Child]] = {}
        self._lost: dict[str, Exit] = {}

    async def run(self) -> m.Init:
        """Look for each incarnation that the memory names. Raises Fenced."""
        for key in self._current.keys() & self._specs.keys():
            self._backend.spares.expect(key, self._specs[key])
        await self._backend.watch_deaths()
        await asyncio.gather(*map(self._look, self._kept.notes))
        return m.Init(self._found, self._lost)

    async def _look(self, note: Note) -> None:
        handle = find_actor(note.name, self._namespace)
        if handle is None:
            await self._note_lost(note)
            if not note.actor_id:
                self._backend.spawn(self._end_late(note.name))
            return
        actor = self._actor_of(note)
        if actor is None:
            await self._end(handle)
            return
        actor.handle = handle
        self._backend.watch(actor)
        record = await actor_record(handle._actor_id)
        if is_dead(record):
            await self._note_lost(note, handle._actor_id.hex())
        elif is_alive(record) and (note.child is not None or note.kind == "spare" or await actor.has_begun()):
            await self._take(actor, note)
        else:
            await self._end(handle)

    def _actor_of(self, note: Note) -> ChildActor | None:
        """None for one that has been replaced, or that nobody wants any more."""
        if note.kind == "spare":
            is_known = note.pattern is not None and self._backend.spares.can_adopt(note.pattern)
            spec = note.pattern.spec if note.pattern is not None and is_known else None
        else:
            old = self._current.get(note.key)
            spec = self._specs.get(note.key) if old is not None and old.instance == note.instance else None
        return ChildActor(note.key, note.instance, spec, note.name, note.kind, note.pattern) if spec else None

    async def _take(self, actor: ChildActor, note: Note) -> None:
        await self._backend.locate(actor)
        actor.heed(self._backend.term)
        self._backend.adopt(actor)
        if actor.kind == "child":
            actor.child = note.child or self._backend.child_of(actor, await actor.info())
            self._found[note.key] = (note.instance, actor.child)

    async def _note_lost(self, note: Note, actor_id: str = "") -> None:
        old, known = self._current.get(note.key), note.actor_id or actor_id
        if note.kind == "spare" or old is None or old.instance != note.instance:
            return
        record = await record_of(known) if known else None
        if record is not None:
            self._lost[note.key] = exit_of(record)

    async def _end(self, handle: object) -> None:
        await self._backend.check()
        await end_actor(handle)

    async def _end_late(self, name: str) -> None:
        """Its maker wrote its name and died; should Ray have been told after all, it must not stay."""
        for wait_s in _LATE_S:
            await asyncio.sleep(wait_s)
            handle = find_actor(name, self._namespace)
            if handle is not None:
                await self._end(handle)
                return
