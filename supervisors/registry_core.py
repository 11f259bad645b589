"""Who holds which names: the rules, as changes to tables.

`Directory.perform` takes an operation and gives its answer (an error is an answer too) and the changes that it made.
The same changes, applied in the same order, make the same tables anywhere: that is how local copies and a restarted
keeper come by them. What an entry of a dead process or of a stale incarnation is worth is decided here and nowhere
else: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Any, Final

from supervisors.entries import (
    Add,
    Change,
    Died,
    Drop,
    Entry,
    Event,
    Fence,
    Holder,
    Keys,
    Meta,
    NodeLost,
    Open,
    Opened,
    Operation,
    Outcome,
    Put,
    Registered,
    Remove,
    SetMeta,
    Unregistered,
    Update,
    Updated,
)
from supervisors.errors import AlreadyRegistered, BadSpec, NotRegistered, StaleEpoch, SupervisorError

_FENCES: Final = 100_000


class Table:
    """The entries of one book, found by key and by holder. Reading costs the same however many there are."""

    def __init__(self, keys: Keys) -> None:
        self.keys: Keys = keys
        self.meta: dict[Hashable, Any] = {}
        self._entries: dict[str, Entry] = {}
        self._by_key: dict[Hashable, dict[str, Entry]] = {}
        self._by_who: dict[Holder, dict[str, Entry]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, id: str) -> Entry | None:  # noqa: A002
        """The entry of that id."""
        return self._entries.get(id)

    def put(self, entry: Entry) -> None:
        """Enter, or replace the entry of that id."""
        self._entries[entry.id] = entry
        self._by_key.setdefault(entry.key, {})[entry.id] = entry
        self._by_who.setdefault(entry.who, {})[entry.id] = entry

    def drop(self, id: str) -> Entry | None:  # noqa: A002
        """Take out; None if it is not there."""
        entry = self._entries.pop(id, None)
        if entry is not None:
            _drop_from(self._by_key, entry.key, id)
            _drop_from(self._by_who, entry.who, id)
        return entry

    def lookup(self, key: Hashable) -> tuple[Entry, ...]:
        """The entries under a key, oldest first."""
        found = self._by_key.get(key)
        return tuple(found.values()) if found else ()

    def of(self, who: Holder) -> tuple[Entry, ...]:
        """The entries of a process, oldest first."""
        found = self._by_who.get(who)
        return tuple(found.values()) if found else ()

    def has(self, who: Holder) -> bool:
        """Whether a process has an entry."""
        return who in self._by_who

    def holders(self) -> tuple[Holder, ...]:
        """Everyone who has an entry."""
        return tuple(self._by_who)

    def distinct_keys(self) -> tuple[Hashable, ...]:
        """Every key that has an entry."""
        return tuple(self._by_key)

    def entries(self) -> tuple[Entry, ...]:
        """All of them, oldest first."""
        return tuple(self._entries.values())

    def select(
        self, *, prefix: str | tuple[Hashable, ...] | None = None, where: Callable[[Entry], bool] | None = None
    ) -> tuple[Entry, ...]:
        """Entries whose key begins so (a text, or the first parts of a tuple) and that satisfy `where`."""
        keys = (key for key in self._by_key if prefix is None or begins(key, prefix))
        return tuple(e for key in keys for e in self._by_key[key].values() if where is None or where(e))


def _drop_from(index: dict[Any, dict[str, Entry]], at: Any, id_: str) -> None:
    del index[at][id_]
    if not index[at]:
        del index[at]


def begins(key: Hashable, prefix: str | tuple[Hashable, ...]) -> bool:
    """Whether a key begins so; a key of another type does not.

    >>> begins("user/7", "user/"), begins(("user", 7), ("user",)), begins(7, "7")
    (True, True, False)
    """
    if isinstance(prefix, str):
        return isinstance(key, str) and key.startswith(prefix)
    return isinstance(key, tuple) and key[: len(prefix)] == prefix


class Directory:
    """All books and the epochs of their holders.

    A process that has died, or that has registered in a later life, is fenced: its earlier lives hold nothing and are
    refused. Fences of processes that hold nothing are kept for the last `fences` of them.
    """

    def __init__(self, changes: Iterable[Change] = (), *, fences: int = _FENCES) -> None:
        self.books: dict[str, Table] = {}
        self._floors: dict[str, int] = {}
        self._lives: dict[str, set[Holder]] = {}
        self._fences = fences
        self._events: list[Event] = []
        for change in changes:
            self.apply(change)

    def perform(self, operation: Operation) -> Outcome:
        """Carry an operation out; it happens as a whole, or not at all."""
        self._events = []
        answer, changes = self._perform(operation)
        return Outcome(answer, changes, self._events)

    def apply(self, change: Change) -> Event | None:
        """Make a change; the same ones in the same order make the same directory. What is to be told of it."""
        match change:
            case Opened(book, keys):
                self.books.setdefault(book, Table(keys))
            case Put(book, entry):
                return self._put(book, entry)
            case Drop(book, id_):
                return self._drop(book, id_)
            case Meta(book, key, value):
                self.books[book].meta[key] = value
            case Fence(process, floor):
                self._floors.pop(process, None)
                self._floors[process] = floor
                self._forget()
        return None

    def snapshot(self) -> list[Change]:
        """The changes that make this directory out of an empty one."""
        changes: list[Change] = [Fence(process, floor) for process, floor in self._floors.items()]
        for book, table in self.books.items():
            changes.append(Opened(book, table.keys))
            changes.extend(Meta(book, key, value) for key, value in table.meta.items())
            changes.extend(Put(book, entry) for entry in table.entries())
        return changes

    def holders(self) -> set[Holder]:
        """Everyone who holds something."""
        return {who for lives in self._lives.values() for who in lives}

    def floor(self, process: str) -> int:
        """The lowest epoch that may register."""
        return self._floors.get(process, 0)

    def _perform(self, operation: Operation) -> tuple[Any, list[Change]]:
        match operation:
            case Open(book, keys):
                return self._open(book, keys)
            case Died(who):
                return self._end([who])
            case NodeLost(node):
                return self._end([who for lives in self._lives.values() for who in lives if who.node == node])
        table = self.books.get(operation.book)
        if table is None:
            return BadSpec(f"There is no registry {operation.book!r}. Open it before you use it."), []
        match operation:
            case Add(book, entry):
                return self._add(book, table, entry)
            case Remove(book, ids):
                gone = self._made([Drop(book, id_) for id_ in dict.fromkeys(ids) if table.get(id_)])
                return len(gone), gone
            case Update(book, id_, value):
                return self._update(book, table, id_, value)
            case SetMeta(book, key, value):
                return None, self._made([Meta(book, key, value)])

    def _made(self, changes: list[Change]) -> list[Change]:
        self._events.extend(event for change in changes if (event := self.apply(change)))
        return changes

    def _open(self, book: str, keys: Keys) -> tuple[SupervisorError | None, list[Change]]:
        table = self.books.get(book)
        if table is None:
            return None, self._made([Opened(book, keys)])
        if table.keys != keys:
            return BadSpec(f"keys={keys!r} is not accepted: registry {book!r} has {table.keys!r} keys; use those."), []
        return None, []

    def _add(self, book: str, table: Table, entry: Entry) -> tuple[Any, list[Change]]:
        if known := table.get(entry.id):
            return known, []
        if entry.who.epoch < self.floor(entry.who.process):
            return StaleEpoch(entry.who.process, entry.who.epoch, self.floor(entry.who.process)), []
        changes = self._admit(entry.who)
        holders = table.lookup(entry.key) if table.keys == "unique" else ()
        if holders:
            return AlreadyRegistered(entry.key, holders[0].who), changes
        return entry, changes + self._made([Put(book, entry)])

    def _admit(self, who: Holder) -> list[Change]:
        """A later life is here: the earlier ones are over."""
        if who.epoch == self._floors.get(who.process):
            return []
        earlier = self._drops(self._lives_before(who.process, who.epoch))
        return self._made([*earlier, Fence(who.process, who.epoch)])

    def _lives_before(self, process: str, epoch: int) -> list[Holder]:
        return [life for life in self._lives.get(process, ()) if life.epoch < epoch]

    def _end(self, lives: list[Holder]) -> tuple[int, list[Change]]:
        drops = self._drops([earlier for who in lives for earlier in self._lives_before(who.process, who.epoch + 1)])
        over = [Fence(who.process, who.epoch + 1) for who in lives if who.epoch >= self.floor(who.process)]
        return len(drops), self._made([*drops, *over])

    def _update(self, book: str, table: Table, id_: str, value: Any) -> tuple[Any, list[Change]]:
        entry = table.get(id_)
        if entry is None:
            return NotRegistered(id_), []
        entry = replace(entry, value=value)
        return entry, self._made([Put(book, entry)])

    def _drops(self, lives: list[Holder]) -> list[Change]:
        return [Drop(book, e.id) for book, table in self.books.items() for who in lives for e in table.of(who)]

    def _put(self, book: str, entry: Entry) -> Event:
        table = self.books[book]
        old = table.get(entry.id)
        table.put(entry)
        self._lives.setdefault(entry.who.process, set()).add(entry.who)
        return Updated(book, entry, old.value) if old else Registered(book, entry)

    def _drop(self, book: str, id_: str) -> Event | None:
        entry = self.books[book].drop(id_)
        if entry is None:
            return None
        if not any(table.has(entry.who) for table in self.books.values()):
            lives = self._lives[entry.who.process]
            lives.discard(entry.who)
            if not lives:
                del self._lives[entry.who.process]
        return Unregistered(book, entry)

    def _forget(self) -> None:
        if len(self._floors) <= self._fences + len(self._lives):
            return
        idle = [process for process in self._floors if process not in self._lives]
        for process in idle[: max(1, len(idle) - self._fences // 2)]:
            del self._floors[process]
