"""What outlives a keeper's process: its changes, as segments and a snapshot in a key-value store.

Each life of a keeper takes a term, one above the last, by a put that fails if the key is there. It writes a segment and
then looks whether its term is still the latest; the next life takes its term and then reads. So a change that was
answered is one that the next life reads, and a keeper that was only believed dead answers nothing more.
"""

from __future__ import annotations

import asyncio
import pickle
from typing import Final, Protocol
from urllib.parse import quote

from supervisors.entries import Change
from supervisors.registry_core import Directory

_SEGMENTS: Final = 256


class Shelf(Protocol):
    """A key-value store: text keys, bytes, and a put that fails if the key is there."""

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


class Superseded(Exception):
    """There is a later life of this keeper: this one must answer nothing more."""


def _base(namespace: str, home: str) -> str:
    return f"names:{quote(namespace, safe='')}|{quote(home, safe='')}|"


async def latest(shelf: Shelf, namespace: str, home: str) -> tuple[int, str] | None:
    """The term of the latest life of a keeper and where it is; None if there was none."""
    terms = await shelf.keys(_base(namespace, home) + "term|")
    where = await shelf.get(max(terms)) if terms else None
    return (_last_number(max(terms)), where.decode()) if where is not None else None


class Journal:
    """The changes of one keeper.

    Args:
        shelf: Where they are.
        namespace: The keeper's.
        home: The keeper's name.
        where: What those who look for it should know: the name of this incarnation.
        segments: How many segments to write before they are folded into the snapshot.
    """

    def __init__(self, shelf: Shelf, namespace: str, home: str, where: str, *, segments: int = _SEGMENTS) -> None:
        self._shelf, self._where, self._limit = shelf, where.encode(), segments
        self._base = _base(namespace, home)
        self._segments: list[str] = []
        self._next = 1
        self.term = 0

    async def open(self) -> Directory:
        """Take the next term; what the lives before this one have left."""
        await self._take_term()
        segments, values = await self._read("log|")
        snapshots, snapshot_values = await self._read("snap|")
        folded, changes = ("", ()) if not snapshots else pickle.loads(snapshot_values[-1])  # noqa: S301 - our own
        directory = Directory(changes)
        for key, value in zip(segments, values, strict=True):
            for change in pickle.loads(value) if key > folded else ():  # noqa: S301 - our own
                directory.apply(change)
        await self._fold(directory)
        await self._delete([*segments, *snapshots])
        return directory

    async def append(self, changes: list[Change], directory: Directory) -> None:
        """Write changes that `directory` has already.

        Raises:
            Superseded: A later life has begun; whether it has read them is not known.
        """
        key = self._segment(self._next)
        self._next += 1
        await self._shelf.put(key, pickle.dumps(changes))
        await self._check()
        self._segments.append(key)
        if len(self._segments) >= self._limit:
            await self._fold(directory)
            await self._check()
            folded, self._segments = self._segments, []
            await self._delete(folded)

    async def _take_term(self) -> None:
        while True:
            terms = await self._shelf.keys(self._base + "term|")
            self.term = 1 + max(map(_last_number, terms), default=0)
            if await self._shelf.put(self._term_key(self.term), self._where, overwrite=False):
                await self._delete(terms)
                return

    async def _check(self) -> None:
        mine, next_ = await asyncio.gather(
            self._shelf.get(self._term_key(self.term)), self._shelf.get(self._term_key(self.term + 1))
        )
        if mine != self._where or next_ is not None:
            raise Superseded

    async def _read(self, what: str) -> tuple[list[str], list[bytes]]:
        keys = sorted(await self._shelf.keys(self._base + what))
        values = await asyncio.gather(*map(self._shelf.get, keys))
        found = [(key, value) for key, value in zip(keys, values, strict=True) if value is not None]
        return [key for key, _ in found], [value for _, value in found]

    async def _fold(self, directory: Directory) -> None:
        """Everything up to the last segment, in one value under this life's own key."""
        value = pickle.dumps((self._segment(self._next - 1), directory.snapshot()))
        await self._shelf.put(f"{self._base}snap|{self.term:012d}", value)

    async def _delete(self, keys: list[str]) -> None:
        mine = f"{self._base}snap|{self.term:012d}"
        await asyncio.gather(*(self._shelf.delete(key) for key in keys if key != mine))

    def _term_key(self, term: int) -> str:
        return f"{self._base}term|{term:012d}"

    def _segment(self, number: int) -> str:
        return f"{self._base}log|{self.term:012d}|{number:012d}"


def _last_number(key: str) -> int:
    return int(key.rpartition("|")[2])
