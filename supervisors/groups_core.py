"""Process groups as Erlang's `pg` has them, over a registry's table with duplicate keys: an entry is a membership.

A process that joined a group twice is a member twice, and leaves it twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from supervisors.entries import Event, Holder, Registered, Unregistered
from supervisors.registry_core import Table

To = Literal["all", "one", "local"]
TO: Final = ("all", "one", "local")
Choose = Callable[[Hashable, Sequence[Holder]], Holder]
"""Picks one of the members of a group; there is at least one."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A process has joined a group, once more if it was in it."""

    group: Hashable
    who: Holder


@dataclass(frozen=True, slots=True)
class Left:
    """A process has left a group, once, or is over."""

    group: Hashable
    who: Holder


GroupEvent = Joined | Left


def members(table: Table, group: Hashable, node: str | None = None) -> tuple[Holder, ...]:
    """The members of a group in the order in which they joined, as often as they did; with `node` those on it."""
    return tuple(e.who for e in table.lookup(group) if node is None or e.who.node == node)


def groups_with_members(table: Table, node: str | None = None) -> tuple[Hashable, ...]:
    """The groups that have a member; with `node` those that have one on it."""
    return tuple(group for group in table.distinct_keys() if node is None or members(table, group, node))


def group_event(event: Event) -> GroupEvent | None:
    """What an event of the table is for its group."""
    match event:
        case Registered(_, entry):
            return Joined(entry.key, entry.who)
        case Unregistered(_, entry):
            return Left(entry.key, entry.who)
        case _:
            return None


def chosen(table: Table, group: Hashable, to: To, node: str, choose: Choose) -> tuple[Holder, ...]:
    """Who gets a message: `all` members, those on this node (`local`), or the `one` that `choose` picks."""
    found = members(table, group, node if to == "local" else None)
    return (choose(group, found),) if to == "one" and found else found


def at_random(group: Hashable, found: Sequence[Holder]) -> Holder:
    """Any of them."""
    return random.choice(found)  # noqa: S311 - only spreads the load


@dataclass(slots=True)
class RoundRobin:
    """One after the other, for each group by itself.

    >>> a, b = Holder("a", 1), Holder("b", 1)
    >>> turn = RoundRobin()
    >>> [turn("g", [a, b]).process for _ in range(3)]
    ['a', 'b', 'a']
    """

    turns: dict[Hashable, int] = field(default_factory=dict)

    def __call__(self, group: Hashable, found: Sequence[Holder]) -> Holder:
        """The next one."""
        turn = self.turns.get(group, 0)
        self.turns[group] = turn + 1
        return found[turn % len(found)]
