"""What outlives a supervisor's process: its term and its memory, in Ray's internal key-value store.

Only supervisors of a tree whose top is detached have one: their children are detached too, and have to be found again.

Each life of a supervisor takes a term, one above the last, by compare-and-set. It writes its memory under its own
term, so a life that is over cannot overwrite that of the next, and a new life reads the highest before its own.
The name of an incarnation is in the memory before the actor is made: whatever crashes when, it can be found.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol
from urllib.parse import quote

import ray
from ray import cloudpickle
from ray.exceptions import RpcError

from supervisors.child import Child
from supervisors.spec import ChildSpec, SupervisorSpec
from supervisors.state import Memory

log = logging.getLogger(__name__)

_NAMESPACE = b"supervisors"
_TIMEOUT_S = 30.0
_AGAIN_S = 0.5
NoteKind = Literal["child", "spare"]


class Shelf(Protocol):
    """Where memory is kept: text keys, bytes, and a put that fails if the key is there."""

    async def get(self, key: str) -> bytes | None:
        """The value, None if there is none."""
        ...

    async def put(self, key: str, value: bytes, *, overwrite: bool = True) -> bool:
        """Whether it was written: always, if it may overwrite."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """Those that begin so."""
        ...

    async def delete(self, key: str) -> None:
        """Nothing if it is not there."""
        ...


class RayShelf:
    """Ray's internal key-value store: as durable as Ray's control store.

    While that is away nothing can be started or ended either, so everything here waits until it is back. A put that may
    not overwrite may have been made all the same if it was cut off, and then says that it was not.
    """

    @property
    def _client(self) -> Any:
        return ray._private.worker.global_worker.gcs_client  # type: ignore[attr-defined]

    async def _surely(self, method: str, *args: Any) -> Any:  # what Ray's client answers
        while True:
            try:
                return await getattr(self._client, f"async_internal_kv_{method}")(*args, _NAMESPACE, timeout=_TIMEOUT_S)
            except RpcError as error:
                log.warning("Ray's control store does not answer: %s", error)
                await asyncio.sleep(_AGAIN_S)

    async def get(self, key: str) -> bytes | None:
        """See `Shelf`."""
        value: bytes | None = await self._surely("get", key.encode())
        return value

    async def put(self, key: str, value: bytes, *, overwrite: bool = True) -> bool:
        """See `Shelf`."""
        new = await self._surely("put", key.encode(), value, overwrite)
        return overwrite or bool(new)

    async def keys(self, prefix: str) -> list[str]:
        """See `Shelf`."""
        found = await self._surely("keys", prefix.encode())
        return sorted(key.decode() for key in found)

    async def delete(self, key: str) -> None:
        """See `Shelf`."""
        await self._surely("del", key.encode(), False)


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a spare is made after.

    Args:
        key: Of the child that it is for; empty if it is for any child of that specification.
        spec: That specification; of a blank one without the arguments.
        blank: Whether its class is constructed only when it is taken.
    """

    key: str
    spec: ChildSpec
    blank: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """An incarnation that may live.

    Args:
        kind: `child`, or `spare`.
        key: The child's.
        instance: Which instance of it; a spare has a number of its own.
        name: Its registered name.
        actor_id: Ray's, in hex, once the actor is made.
        child: Once it has started.
        pattern: Of one that is a spare, or was.
    """

    kind: NoteKind
    key: str
    instance: int
    name: str
    actor_id: str = ""
    child: Child | None = None
    pattern: Pattern | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is written: `updated` is the specification that `update_specs` gave, if it did; `at` is wall time."""

    memory: Memory
    notes: tuple[Note, ...] = ()
    updated: SupervisorSpec | None = None
    at: float = field(default_factory=time.time)

    def aged(self, now: float) -> Memory:
        """The memory with the time that has passed since; a clock that was set back adds none."""
        passed = max(0.0, now - self.at)
        return replace(self.memory, ages=tuple(age + passed for age in self.memory.ages))


class Fenced(Exception):
    """There is a later life of this supervisor, or it was ended from outside: this one must not act."""


class Ledger:
    """Term and memory of one supervisor.

    Args:
        shelf: Where it is.
        namespace: The tree's.
        path: The ids from the top, quoted, separated by `/`.
        token: Tells this life from all others: the incarnation's name and what else it takes.
    """

    def __init__(self, shelf: Shelf, namespace: str, path: str, token: str) -> None:
        self._shelf, self._token = shelf, token.encode()
        self._base = _base(namespace, path)
        self._term = 0
        self._lock = asyncio.Lock()
        self._wanted = self._written = 0

    @property
    def term(self) -> int:
        """This life's; higher than any before."""
        return self._term

    async def take_term(self) -> int:
        """The next one, by compare-and-set; from now on no earlier life acts."""
        while True:
            terms = await self._terms()
            term = 1 + max(terms, default=0)
            if await self._shelf.put(self._key("term", term), self._token, overwrite=False):
                self._term = term
                for old in terms:
                    await self._shelf.delete(self._key("term", old))
                return term

    async def check(self) -> None:
        """Raises Fenced unless this life is the latest."""
        mine, next_ = await asyncio.gather(
            self._shelf.get(self._key("term", self._term)), self._shelf.get(self._key("term", self._term + 1))
        )
        if mine != self._token or next_ is not None:
            raise Fenced

    async def recall(self) -> Kept | None:
        """What the last life before this one kept."""
        for key in reversed(await self._shelf.keys(f"{self._base}memory|")):
            value = await self._shelf.get(key) if _term_of(key) < self._term else None
            if value is not None:
                kept: Kept = cloudpickle.loads(value)
                return kept
        return None

    async def keep(self, kept: Callable[[], Kept]) -> None:
        """Write what is true now, at the latest; those who ask together write once."""
        self._wanted += 1
        mine = self._wanted
        async with self._lock:
            if self._written >= mine:
                return
            upto, first = self._wanted, self._written == 0
            await self._shelf.put(self._key("memory", self._term), cloudpickle.dumps(kept()))  # type: ignore[no-untyped-call]
            self._written = upto
            if first:
                await self._delete_older()

    async def forget(self) -> None:
        """A supervisor that has ended orderly leaves nothing behind; its token tells it from the next of its term."""
        async with self._lock:
            for key in await self._shelf.keys(self._base):
                await self._shelf.delete(key)

    async def _delete_older(self) -> None:
        for key in await self._shelf.keys(f"{self._base}memory|"):
            if _term_of(key) < self._term:
                await self._shelf.delete(key)

    async def _terms(self) -> list[int]:
        return [_term_of(key) for key in await self._shelf.keys(f"{self._base}term|")]

    def _key(self, what: str, term: int) -> str:
        return f"{self._base}{what}|{term:012d}"


def child_path(path: str, key: str, id: str) -> str:  # noqa: A002
    """The path of a child: readable, and different for each of its siblings whatever their ids are."""
    return f"{path}/{segment(id)}" if key == id else f"{path}/{segment(id)}:{segment(key)}"


def segment(text: str) -> str:
    """An id as a part of a path: readable, without the signs that separate parts."""
    return quote(text, safe="#@=+, ")


async def notes_below(shelf: Shelf, namespace: str, path: str, *, itself: bool) -> Mapping[str, Note]:
    """All incarnations that supervisors below a path have noted, by name; `itself`: those of the path's own too."""
    bases = [_prefix(namespace, path) + "/", *([_base(namespace, path)] if itself else [])]
    found: dict[str, Note] = {}
    for key in [key for base in bases for key in await shelf.keys(base) if "|memory|" in key]:
        value = await shelf.get(key)
        kept: Kept | None = cloudpickle.loads(value) if value is not None else None
        found |= {note.name: note for note in kept.notes} if kept else {}
    return found


async def end_below(shelf: Shelf, namespace: str, path: str, what: str, *, itself: bool) -> None:
    """Delete the terms or the memories below a path: without its term no supervisor acts any more."""
    for base in [_prefix(namespace, path) + "/", *([_base(namespace, path)] if itself else [])]:
        for key in await shelf.keys(base):
            if f"|{what}|" in key:
                await shelf.delete(key)


def _prefix(namespace: str, path: str) -> str:
    return f"{segment(namespace)}|{path}"


def _base(namespace: str, path: str) -> str:
    return _prefix(namespace, path) + "|"


def _term_of(key: str) -> int:
    return int(key.rpartition("|")[2])
