"""Registries and groups of children that are objects of this process: one keeper for each event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from supervisors.address import LOCAL
from supervisors.entries import Add, Died, Entry, Event, Holder, Open, Operation
from supervisors.errors import StaleEpoch
from supervisors.exits import Exit
from supervisors.local_child import LocalNode
from supervisors.local_links import address_of
from supervisors.local_ref import local_ref
from supervisors.registry import answered
from supervisors.registry_core import Directory
from supervisors.spec import Name


class LocalKeeper:
    """The books of one event loop: reading and changing them takes no turn of it.

    Guarantee: the entries of a child are gone before its supervisor, its links and its monitors hear of its end.
    What survives the process: nothing; its children do not either.
    """

    _all: WeakKeyDictionary[asyncio.AbstractEventLoop, LocalKeeper] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._directory = Directory()
        self._listeners: dict[int, Callable[[Event], None]] = {}
        self._numbers = count(1)
        self._known: dict[str, Holder] = {}

    @classmethod
    def here(cls) -> LocalKeeper:
        """That of the running loop."""
        loop = asyncio.get_running_loop()
        keeper = cls._all.get(loop)
        if keeper is None:
            keeper = cls._all[loop] = cls()
        return keeper

    @property
    def directory(self) -> Directory:
        """The books themselves."""
        return self._directory

    @property
    def node(self) -> str:
        """The same for all of them."""
        return LOCAL

    def new_id(self) -> str:
        """A number."""
        return str(next(self._numbers))

    async def holder(self, who: Any) -> Holder:  # whatever names a child
        """The child as the books name it, watched from now on.

        Raises:
            NotAProcess: That names no child.
            NotStarted: A `Process` that nobody has started.
            StaleEpoch: It is over.
        """
        if isinstance(who, Holder):
            return who
        name = address_of(who).name
        return self._known.get(name) or self._meet(name)

    async def ask(self, operation: Operation, timeout_s: float) -> Any:
        """Answered at once."""
        return self._perform(operation)

    async def sync(self, timeout_s: float) -> None:
        """Nothing to wait for."""

    def listen(self, tell: Callable[[Event], None]) -> Callable[[], None]:
        """See `Keeper`."""
        number = next(self._numbers)
        self._listeners[number] = tell
        return lambda: self._listeners.pop(number, None) and None

    async def call(self, who: Holder, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """As `LocalRef.call`: an exception that the method lets out is the child's end."""
        return await local_ref(who.address).call(method, *args, **kwargs)

    def enter(self, via: Name, name: str) -> None:
        """Give a child that is being started its name, at once.

        Raises:
            AlreadyRegistered: The unique key has a holder.
            BadSpec: The registry has keys of the other kind.
        """
        holder = self._known.get(name) or self._meet(name)
        entry = Entry(via.key, holder, via.value, self.new_id())
        for operation in (Open(via.registry, via.keys), Add(via.registry, entry)):
            answered(self._perform(operation))

    def _meet(self, name: str) -> Holder:
        # An end is known at once here: each life can be a process of its own.
        holder = Holder(name, next(self._numbers), LOCAL, name)
        if name not in LocalNode.here().children:
            raise StaleEpoch(name, holder.epoch, holder.epoch + 1)
        self._known[name] = holder
        local_ref(name).watch(lambda reason: self._over(holder, reason), release=True)
        return holder

    def _over(self, holder: Holder, _: Exit) -> None:
        del self._known[holder.address]
        self._perform(Died(holder))

    def _perform(self, operation: Operation) -> Any:
        answer, _, events = self._directory.perform(operation)
        for event in events:
            for tell in list(self._listeners.values()):
                tell(event)
        return answer
