"""Process groups, as Erlang's `pg` has them: join, leave, see who is there, be told, and send to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from supervisors.entries import Event, Holder
from supervisors.errors import BadSpec, NoMembers, NotJoined
from supervisors.groups_core import TO, Choose, GroupEvent, To, at_random, chosen, group_event, groups_with_members
from supervisors.groups_core import members as members_of
from supervisors.keeper import CALL_TIMEOUT_S, Backend, Keeper
from supervisors.registry import HOME, NAMESPACE, Registry, checked
from supervisors.registry_core import Table


class Groups:
    """The groups of one scope.

    A group exists while it has members. A process that joins twice is a member twice. One that is over is in no group
    when anybody is told of its end by this package. As with `pg`, callers in different processes may see joins some
    milliseconds apart; after its own call has returned, a caller sees what it did.

    Divergence from `pg`: one keeper holds the truth, so two sides of a cut network do not go on alone.
    """

    def __init__(self, scope: Registry, keeper: Keeper) -> None:
        self._scope, self._keeper = scope, keeper
        self._leaving: set[str] = set()

    @classmethod
    async def open(
        cls,
        scope: str = "pg",
        *,
        backend: Backend = "ray",
        home: str = HOME,
        namespace: str = NAMESPACE,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> Groups:
        """The groups of a scope. See `Registry.open`, whose names scopes share."""
        registry = await Registry.open(
            scope, keys="duplicate", backend=backend, home=home, namespace=namespace, timeout_s=timeout_s
        )
        return cls(registry, registry._keeper)

    @property
    def _table(self) -> Table:
        return self._keeper.directory.books[self._scope.name]

    async def join(self, group: Hashable, *, who: Any = None, timeout_s: float = CALL_TIMEOUT_S) -> Holder:
        """Enter a process, once more if it is in. Raises as `Registry.register`; a group is plain data, as keys are."""
        return (await self._scope.register(group, who=who, timeout_s=timeout_s)).who

    async def join_all(
        self, group: Hashable, processes: Iterable[Any], *, timeout_s: float = CALL_TIMEOUT_S
    ) -> list[Holder]:
        """Enter several, in this order; `timeout_s` is for each."""
        return [await self.join(group, who=who, timeout_s=timeout_s) for who in processes]

    async def leave(self, group: Hashable, *, who: Any = None, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """Take a process out once.

        Raises:
            NotJoined: It is no member.
        """
        holder = await self._keeper.holder(who)
        mine = [e.id for e in self._table.lookup(checked(group)) if e.who == holder and e.id not in self._leaving]
        if not mine:
            raise NotJoined(group, holder.process)
        newest = mine[-1]
        self._leaving.add(newest)
        try:
            await self._scope.unregister_match(group, lambda e: e.id == newest, who=holder, timeout_s=timeout_s)
        finally:
            self._leaving.discard(newest)

    def members(self, group: Hashable) -> tuple[Holder, ...]:
        """Who is in, in the order of joining, as often as they joined."""
        return members_of(self._table, group)

    def local_members(self, group: Hashable) -> tuple[Holder, ...]:
        """Those of them on this node."""
        return members_of(self._table, group, self._keeper.node)

    def which_groups(self) -> tuple[Hashable, ...]:
        """The groups that have members."""
        return groups_with_members(self._table)

    def which_local_groups(self) -> tuple[Hashable, ...]:
        """The groups that have members on this node."""
        return groups_with_members(self._table, self._keeper.node)

    def monitor(
        self, group: Hashable, tell: Callable[[GroupEvent], None]
    ) -> tuple[tuple[Holder, ...], Callable[[], None]]:
        """The members now; `tell` hears of each `Joined` and `Left` from now on: together they add up to the members.

        `tell` is called after the event is in what `members` answers; it must not raise.

        Returns:
            The members, and what ends the monitor.
        """
        return self.members(group), self._listen(lambda event: tell(event) if event.group == group else None)

    def monitor_scope(
        self, tell: Callable[[GroupEvent], None]
    ) -> tuple[dict[Hashable, tuple[Holder, ...]], Callable[[], None]]:
        """As `monitor`, of all groups."""
        return {group: self.members(group) for group in self.which_groups()}, self._listen(tell)

    def _listen(self, tell: Callable[[GroupEvent], None]) -> Callable[[], None]:
        def told(event: Event) -> None:
            if (change := group_event(event)) is not None:
                tell(change)

        return self._scope.listen(told)

    async def dispatch(
        self,
        group: Hashable,
        method: str,
        *args: Any,
        to: To = "all",
        choose: Choose = at_random,
        **kwargs: Any,
    ) -> list[Any]:
        """Call a method of members, all at the same time.

        Args:
            group: Whose.
            method: The method's name.
            args: Its arguments.
            to: `all` members, those on this node (`local`), or `one` of them.
            choose: Picks the one: `at_random`, a `RoundRobin()`, or a function of yours.
            kwargs: Its keyword arguments.

        Returns:
            Their answers in the order of joining; an exception is an answer too (`ChildGone` of one that is over).

        Raises:
            NoMembers: There is nobody to be the `one`.
            BadSpec: `to` is not known.
        """
        if to not in TO:
            raise BadSpec(f"to={to!r} is not known; accepted: {', '.join(map(repr, TO))}.")
        found = chosen(self._table, group, to, self._keeper.node, choose)
        if not found and to == "one":
            raise NoMembers(group, to)
        calls = (self._keeper.call(who, method, args, kwargs) for who in found)
        return await asyncio.gather(*calls, return_exceptions=True)

    async def sync(self, *, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """Wait until everything that joined or left before now, anywhere, is seen here."""
        await self._scope.sync(timeout_s=timeout_s)
