"""Short ways to say what registries are asked, and keepers whose world a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from itertools import count
from typing import Any

from supervisors.entries import Add, Entry, Holder, Keys, Open, Operation
from supervisors.registry_core import Directory

ids = count(1)


def life(process: str = "a", epoch: int = 1, node: str = "n1") -> Holder:
    """A life of a process."""
    return Holder(process, epoch, node)


def add(key: Hashable, who: Holder, value: Any = None, *, book: str = "names", id_: str = "") -> Add:
    """A registration."""
    return Add(book, Entry(key, who, value, id_ or str(next(ids))))


def directory(keys: Keys = "unique", *operations: Operation) -> Directory:
    """With the book `names`, in which these have happened."""
    made = Directory()
    for operation in (Open("names", keys), *operations):
        made.perform(operation)
    return made


def holders(made: Directory, key: Hashable) -> list[Holder]:
    """Who is under a key."""
    return [entry.who for entry in made.books["names"].lookup(key)]


class DictShelf:
    """A key-value store in memory. It lets puts through while it is `open`; otherwise the first one `knocked`."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.knocked = asyncio.Event()

    async def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    async def put(self, key: str, value: bytes, *, overwrite: bool = True) -> bool:
        if not self.open.is_set():
            self.knocked.set()
        await self.open.wait()
        if key in self.values and not overwrite:
            return False
        self.values[key] = value
        return True

    async def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.values if key.startswith(prefix))

    async def delete(self, key: str) -> None:
        self.values.pop(key, None)


class Morgue:
    """Who lives: everybody, until a test says otherwise."""

    def __init__(self) -> None:
        self.dead: set[Holder] = set()
        self.watching: dict[Holder, Callable[[], None]] = {}

    async def alive(self, who: Holder, died: Callable[[], None]) -> bool:
        self.watching[who] = died
        return who not in self.dead

    async def is_over(self, who: Holder) -> bool:
        return who in self.dead

    def bury(self, who: Holder) -> None:
        """It dies."""
        self.dead.add(who)
        self.watching[who]()
