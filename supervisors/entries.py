"""Entries of registries and groups, and what is asked for, changed and told about them: values alone."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

Keys = Literal["unique", "duplicate"]
KEYS: Final = ("unique", "duplicate")


@dataclass(frozen=True, slots=True)
class Holder:
    """One life of a process, which may hold entries.

    Args:
        process: Names the process; its restarted self has the same.
        epoch: Which life: a restarted process has a higher one.
        node: The node it runs on; not part of its identity.
        address: What a backend needs to reach it; not part of its identity.
    """

    process: str
    epoch: int
    node: str = field(default="", compare=False)
    address: Any = field(default=None, compare=False, repr=False)  # each backend has its own

    def __str__(self) -> str:
        return f"{self.process} (epoch {self.epoch})"


@dataclass(frozen=True, slots=True)
class Entry:
    """A key, who holds it, and the value that came with it; `id` is unique for ever."""

    key: Hashable
    who: Holder
    value: Any
    id: str


@dataclass(frozen=True, slots=True)
class Opened:
    """There is a book of that name."""

    book: str
    keys: Keys


@dataclass(frozen=True, slots=True)
class Put:
    """There is an entry, or it has another value."""

    book: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Drop:
    """An entry is no more."""

    book: str
    id: str


@dataclass(frozen=True, slots=True)
class Meta:
    """Something said of a book as a whole."""

    book: str
    key: Hashable
    value: Any


@dataclass(frozen=True, slots=True)
class Fence:
    """Lives of a process below this epoch hold nothing, and never will."""

    process: str
    floor: int


Change = Opened | Put | Drop | Meta | Fence


@dataclass(frozen=True, slots=True)
class Open:
    """Make sure that there is a book. Answers None."""

    book: str
    keys: Keys


@dataclass(frozen=True, slots=True)
class Add:
    """Enter; said twice it is entered once. Answers the `Entry`."""

    book: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Remove:
    """Take entries out, those of them that are there. Answers their number."""

    book: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """Give an entry another value. Answers the `Entry`."""

    book: str
    id: str
    value: Any


@dataclass(frozen=True, slots=True)
class SetMeta:
    """Say something of a book as a whole. Answers None."""

    book: str
    key: Hashable
    value: Any


@dataclass(frozen=True, slots=True)
class Died:
    """That life is over. Answers the number of entries that went."""

    who: Holder


@dataclass(frozen=True, slots=True)
class NodeLost:
    """Every life on that node is over. Answers the number of entries that went."""

    node: str


@dataclass(frozen=True, slots=True)
class Registered:
    """There is a new entry."""

    book: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Updated:
    """An entry has another value than `old`."""

    book: str
    entry: Entry
    old: Any


@dataclass(frozen=True, slots=True)
class Unregistered:
    """An entry is gone: taken out, or its process is over."""

    book: str
    entry: Entry


Event = Registered | Updated | Unregistered
Operation = Open | Add | Remove | Update | SetMeta | Died | NodeLost


class Outcome(NamedTuple):
    """What came of an operation: its answer, an error being one too; what it changed; what is to be told of that."""

    answer: Any
    changes: list[Change]
    events: list[Event]
