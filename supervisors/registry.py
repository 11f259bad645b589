"""Names for processes, as Elixir's `Registry` and Horde's give them: unique or duplicate keys, each with a value.

A registry is reached with `Registry.open`, in one event loop (`backend="local"`) or in a whole Ray cluster
(`backend="ray"`, where a keeper runs: see `keeper_spec`). Looking up happens in the caller: no process is asked.
`Via` is a name that stands for whoever holds it now, also after a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from supervisors.entries import KEYS, Add, Entry, Event, Holder, Keys, Open, Operation, Remove, SetMeta, Update
from supervisors.errors import AlreadyRegistered, BadSpec, NotRegistered, SupervisorError
from supervisors.keeper import CALL_TIMEOUT_S, Backend, Keeper, find_keeper
from supervisors.registry_core import Table
from supervisors.spec import ChildSpec, check_text

HOME = "registry"
NAMESPACE = "supervisors"
Where = Callable[[Entry], bool]
T = TypeVar("T")


def keeper_spec(home: str = HOME, **options: Any) -> ChildSpec:
    """The specification of the keeper of a Ray cluster's registries and groups, to be put under a supervisor.

    What survives its crash: everything. It writes each change to Ray's internal key-value store before it answers;
    its next life reads that and looks which of the holders live. Meanwhile looking up goes on, and changes wait.

    Args:
        home: Names the keeper; its namespace is its supervisor's.
        options: Other arguments of `ChildSpec`, such as `backoff`; `options` is passed to Ray.
    """
    from supervisors import ray_registry

    return ray_registry.keeper_spec(home, **options)


def checked(key: Hashable) -> Hashable:
    """A key, or a group, that is the same thing in every process.

    Raises:
        BadSpec: It is not plain data.
    """
    plain = isinstance(key, str | int | float | bytes | None) or (
        isinstance(key, tuple | frozenset) and all(checked(part) is part for part in key)
    )
    if not plain:
        raise BadSpec(f"key={key!r} is not accepted; give a text, a number, bytes, None, or a tuple of such.")
    return key


def answered(answer: Any) -> Any:
    """The answer; an error that is one is raised."""
    if isinstance(answer, SupervisorError):
        raise answer
    return answer


class Registry:
    """Finds processes by key.

    Guarantees: a unique key has at most one holder. An entry of a process that is over is never found by those who
    were told of its end by this package. A process's earlier life (a stale twin) neither answers for a name nor takes
    it back: see `StaleEpoch`. After a call that changes something has returned, the caller finds it so; callers in
    other processes do some milliseconds later, or after `sync`.

    Divergence from Elixir: a process can be registered by others (`who=`), for plain actors know of no registry. Keys
    are plain data. Where Elixir takes match specifications, functions are given.
    """

    def __init__(self, name: str, keeper: Keeper, via: Via) -> None:
        self._name, self._keeper, self._via = name, keeper, via

    @classmethod
    async def open(
        cls,
        name: str,
        *,
        keys: Keys = "unique",
        backend: Backend = "ray",
        home: str = HOME,
        namespace: str = NAMESPACE,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> Registry:
        """The registry of that name, made if there is none.

        Args:
            name: Names it among the keeper's.
            keys: `unique`: one holder for a key. `duplicate`: any number, each as often as it registers.
            backend: `local`: of this event loop. `ray`: of the cluster.
            home: Under Ray, the keeper's name.
            namespace: Under Ray, the keeper's namespace.
            timeout_s: Seconds to wait for a keeper.

        Raises:
            BadSpec: A value is not accepted, or the registry has keys of the other kind.
            RegistryDown: No keeper answers.
        """
        if keys not in KEYS:
            raise BadSpec(f"keys={keys!r} is not known; accepted: 'unique', 'duplicate'.")
        check_text("name", name)
        keeper = await find_keeper(backend, home, namespace, timeout_s)
        known = keeper.directory.books.get(name)
        if known is None or known.keys != keys:
            answered(await keeper.ask(Open(name, keys), timeout_s))
        return cls(name, keeper, Via(name, None, backend=backend, home=home, namespace=namespace, keys=keys))

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def _table(self) -> Table:
        return self._keeper.directory.books[self._name]

    async def register(
        self, key: Hashable, value: Any = None, *, who: Any = None, timeout_s: float = CALL_TIMEOUT_S
    ) -> Entry:
        """Enter a process under a key.

        Args:
            key: Plain data: a text, a number, bytes, None, or a tuple of such.
            value: What is found with it. Under Ray it is pickled.
            who: The process: a `Child`; under Ray also an actor's handle, or None for the actor that asks; in one
                event loop also a reference, or the `Process` itself.
            timeout_s: Seconds to wait for the keeper.

        Raises:
            AlreadyRegistered: The unique key has a holder; it may be this process.
            StaleEpoch: The process is over, or a later life of it is here.
            RegistryDown: Nobody answers.
            BadSpec: The key, the value or the process is of no accepted kind.
        """
        holder = await self._keeper.holder(who)
        entry = Entry(checked(key), holder, value, self._keeper.new_id())
        await self._ask(Add(self._name, entry), timeout_s)
        return entry

    async def unregister(self, key: Hashable, *, who: Any = None, timeout_s: float = CALL_TIMEOUT_S) -> int:
        """Take out what a process has under a key; fine if it has nothing. Returns how many entries that were."""
        return await self.unregister_match(key, lambda _: True, who=who, timeout_s=timeout_s)

    async def unregister_match(
        self, key: Hashable, where: Where, *, who: Any = None, timeout_s: float = CALL_TIMEOUT_S
    ) -> int:
        """Take out those of its entries under a key that satisfy `where`. Returns how many those were."""
        holder = await self._keeper.holder(who)
        ids = tuple(e.id for e in self.lookup(key) if e.who == holder and where(e))
        return cast("int", await self._ask(Remove(self._name, ids), timeout_s)) if ids else 0

    async def update_value(
        self, key: Hashable, change: Callable[[Any], T], *, who: Any = None, timeout_s: float = CALL_TIMEOUT_S
    ) -> tuple[T, Any]:
        """Give the entry that a process has under a unique key another value, made of the old one.

        Returns:
            The new value and the old one.

        Raises:
            NotRegistered: The process does not hold that key.
            BadSpec: The keys of this registry are not unique.
        """
        if self._table.keys != "unique":
            raise BadSpec(f"Registry {self._name!r} has duplicate keys: unregister and register again instead.")
        holder = await self._keeper.holder(who)
        entry = next((e for e in self.lookup(key) if e.who == holder), None)
        if entry is None:
            raise NotRegistered(key)
        new = change(entry.value)
        await self._ask(Update(self._name, entry.id, new), timeout_s)
        return new, entry.value

    def lookup(self, key: Hashable) -> tuple[Entry, ...]:
        """The entries under a key, oldest first."""
        return self._table.lookup(key)

    def whereis(self, key: Hashable) -> Holder | None:
        """Who holds a unique key."""
        found = self._table.lookup(key)
        return found[0].who if found else None

    def values(self, key: Hashable, who: Holder) -> list[Any]:
        """The values that a process has under a key."""
        return [e.value for e in self.lookup(key) if e.who == who]

    def keys_of(self, who: Holder) -> list[Hashable]:
        """The keys that a process has entries under, as often as it has them."""
        return [e.key for e in self._table.of(who)]

    def count(self) -> int:
        """How many entries there are."""
        return len(self._table)

    def select(
        self, *, prefix: str | tuple[Hashable, ...] | None = None, where: Where | None = None
    ) -> tuple[Entry, ...]:
        """The entries whose key begins so (a text, or the first parts of a tuple) and that satisfy `where`."""
        return self._table.select(prefix=prefix, where=where)

    def meta(self, key: Hashable, default: Any = None) -> Any:
        """What was said of the registry as a whole."""
        return self._table.meta.get(key, default)

    async def put_meta(self, key: Hashable, value: Any, *, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """Say something of the registry as a whole."""
        await self._ask(SetMeta(self._name, checked(key), value), timeout_s)

    async def holder(self, who: Any = None) -> Holder:
        """A process as `values` and `keys_of` take it; None is the actor that asks."""
        return await self._keeper.holder(who)

    async def sync(self, *, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """Wait until everything that was registered before now, anywhere, is found here."""
        await self._keeper.sync(timeout_s)

    def listen(self, tell: Callable[[Event], None]) -> Callable[[], None]:
        """Be told of entries that come, change and go, after they did; returns what ends that."""
        return self._keeper.listen(lambda event: tell(event) if event.book == self._name else None)

    def via(self, key: Hashable, value: Any = None) -> Via:
        """A name in this registry, to be given to a child or to callers."""
        v = self._via
        return Via(self._name, checked(key), value, backend=v.backend, home=v.home, namespace=v.namespace, keys=v.keys)

    async def call(self, key: Hashable, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of whoever holds a unique key now.

        Raises:
            NotRegistered: Nobody does.
            ChildGone: The holder is over. The call may have run.
        """
        holder = self.whereis(key)
        if holder is None:
            raise NotRegistered(key)
        return await self._keeper.call(holder, method, args, kwargs)

    async def dispatch(self, key: Hashable, method: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Call a method of everyone under a key, all at the same time. An exception is an answer too."""
        calls = (self._keeper.call(e.who, method, args, kwargs) for e in self.lookup(key))
        return await asyncio.gather(*calls, return_exceptions=True)

    async def _ask(self, operation: Operation, timeout_s: float) -> Any:
        return answered(await self._keeper.ask(operation, timeout_s))


@dataclass(frozen=True, slots=True)
class Via:
    """A name that stands for whoever holds it: as a child's `via` it is that child's, given to a caller it calls it.

    Args:
        registry: The registry's name.
        key: The key in it.
        value: What the child is registered with.
        backend: See `Registry.open`.
        home: See `Registry.open`.
        namespace: See `Registry.open`.
        keys: See `Registry.open`.
    """

    registry: str
    key: Hashable
    value: Any = None
    backend: Backend = "ray"
    home: str = HOME
    namespace: str = NAMESPACE
    keys: Keys = "unique"

    async def open(self) -> Registry:
        """The registry."""
        return await Registry.open(
            self.registry, keys=self.keys, backend=self.backend, home=self.home, namespace=self.namespace
        )

    async def register(self, who: Any = None) -> Entry:
        """What a process does in its `init`, or whoever started it for it. Raises as `Registry.register`."""
        return await (await self.open()).register(self.key, self.value, who=who)

    async def hold(self, who: Any = None) -> Entry:
        """As `register`; nothing if the process has the name already."""
        registry = await self.open()
        holder = await registry.holder(who)
        try:
            return self._held(registry, holder) or await registry.register(self.key, self.value, who=holder)
        except AlreadyRegistered as taken:
            # Perhaps by what it asked for before, which it had not heard of here.
            if taken.holder != holder or (held := self._held(registry, holder)) is None:
                raise
            return held

    def _held(self, registry: Registry, holder: Holder) -> Entry | None:
        return next((entry for entry in registry.lookup(self.key) if entry.who == holder), None)

    def check(self, backend: Backend) -> None:
        """Whether it is a name for children of that backend. Raises BadSpec."""
        if self.backend != backend:
            raise BadSpec(
                f"A name with backend={self.backend!r} is not accepted for a child with backend={backend!r}; "
                "open the registry with the backend of the supervisor."
            )

    async def whereis(self) -> Holder | None:
        """Who holds the name now."""
        return (await self.open()).whereis(self.key)

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of whoever holds the name now. Raises as `Registry.call`."""
        return await (await self.open()).call(self.key, method, *args, **kwargs)
