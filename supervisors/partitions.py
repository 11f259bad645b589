"""Dynamic supervisors side by side: children are spread over them by key, so that none of them is the queue of all.

The partitions are children of one supervisor, so that one which gives up comes back without the others noticing.
Elixir's `PartitionSupervisor` is alike.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, TypeVar

from supervisors.backend import TreeNode
from supervisors.child import Child, ChildInfo, Counts
from supervisors.errors import BadSpec, SupervisorDown
from supervisors.exits import Exit
from supervisors.spec import DYNAMIC_STRATEGIES, ChildSpec, Strategy, SupervisorSpec
from supervisors.supervisor import Supervisor

T = TypeVar("T")
Key = str | bytes | int
MAX_RESTARTS: Final = 3
"""How many partitions may give up within five seconds before all of them do, as in Elixir."""


def partition_of(key: Key, partitions: int) -> int:
    """Which of so many partitions a key belongs to: the same one in every process, for ever.

    >>> partition_of("alice", 8), partition_of("bob", 8)
    (1, 2)
    """
    if isinstance(key, bool) or not isinstance(key, str | bytes | int):
        raise BadSpec(f"key={key!r} is not accepted; give a text, bytes or a whole number.")
    text = key if isinstance(key, bytes) else str(key).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest()) % partitions


class PartitionedSupervisor:
    """A handle to dynamic supervisors that share the work; any number of handles may exist.

    Guarantee: a key always goes to the same partition. A partition that ends takes its own children with it, and no
    others. A call that finds its partition gone raises `SupervisorDown` and is not repeated, as nobody can know whether
    it was served; the next one goes to the partition's successor.
    """

    def __init__(self, root: Supervisor, partitions: int) -> None:
        self._root = root
        self._partitions: list[Supervisor | None] = [None] * partitions

    @classmethod
    async def start(
        cls,
        *,
        partitions: int | None = None,
        strategy: Strategy = "dynamic",
        children: Iterable[ChildSpec] = (),
        max_restarts: int | None = None,
        max_seconds: float = 5.0,
        max_children: int | None = None,
        counts: Callable[[Exit], bool] | None = None,
        backend: str = "ray",
        name: str | None = None,
        namespace: str = "supervisors",
        detached: bool = False,
        options: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> PartitionedSupervisor:
        """Start the partitions.

        Args:
            partitions: How many; None is the number of processors.
            strategy: `"dynamic"`, or `"simple_one_for_one"` with its template.
            children: The template alone.
            max_restarts: Of each partition; see `SupervisorSpec`.
            max_seconds: Of each partition.
            max_children: Of each partition.
            counts: Of each partition.
            backend: See `Supervisor.start`, as for the rest.
            name: That of the supervisor above the partitions.
            namespace: See `Supervisor.start`.
            detached: See `Supervisor.start`.
            options: See `Supervisor.start`.
            timeout_s: See `Supervisor.start`.

        Raises:
            BadSpec: A value is not accepted.
            AlreadyStarted: The name is taken.
            CallTimeout: Time ran out.
        """
        if strategy not in DYNAMIC_STRATEGIES:
            raise BadSpec(f"strategy={strategy!r} has no partitions; accepted: 'dynamic', 'simple_one_for_one'.")
        count = (os.cpu_count() or 1) if partitions is None else partitions
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise BadSpec(f"partitions={partitions!r} is not accepted; give a whole number from 1, or None.")
        spec = SupervisorSpec(
            strategy=strategy, max_restarts=max_restarts, max_seconds=max_seconds, children=tuple(children),
            max_children=max_children, counts=counts,
        )  # fmt: skip
        root = await Supervisor.start(
            children=_partitions(spec, count), max_restarts=MAX_RESTARTS, backend=backend, name=name,
            namespace=namespace, detached=detached, options=options, timeout_s=timeout_s,
        )  # fmt: skip
        return cls(root, count)

    @classmethod
    async def find(cls, name: str, namespace: str = "supervisors", *, backend: str = "ray") -> PartitionedSupervisor:
        """Running partitions by their name. Raises SupervisorDown."""
        root = await Supervisor.find(name, namespace, backend=backend)
        return cls(root, (await root.count_children()).specs)

    @property
    def name(self) -> str:
        """The name of the supervisor above the partitions."""
        return self._root.name

    @property
    def partitions(self) -> int:
        """How many there are."""
        return len(self._partitions)

    async def supervisor(self, key: Key) -> Supervisor:
        """The partition of a key. Raises SupervisorDown while it is restarted."""
        return await self._partition(partition_of(key, self.partitions))

    async def start_child(
        self, spec: ChildSpec | None = None, *, key: Key, args: Iterable[Any] = (), timeout_s: float | None = None
    ) -> Child | None:
        """See `Supervisor.start_child`; in the partition of the key."""
        index = partition_of(key, self.partitions)
        return await self._on(index, lambda sup: sup.start_child(spec, args=args, timeout_s=timeout_s))

    async def terminate_child(self, child: Child, *, key: Key, timeout_s: float | None = None) -> None:
        """See `Supervisor.terminate_child`; `key` is the one that it was started with."""
        index = partition_of(key, self.partitions)
        await self._on(index, lambda sup: sup.terminate_child(child, timeout_s=timeout_s))

    async def which_children(self, *, timeout_s: float | None = None) -> list[ChildInfo]:
        """The children of all partitions, one after the other, each newest first."""
        rows = await self._all(lambda sup: sup.which_children(timeout_s=timeout_s))
        return [row for partition in rows for row in partition]

    async def count_children(self, *, timeout_s: float | None = None) -> Counts:
        """The sums; under `simple_one_for_one` each partition counts the template as its specification."""
        found = await self._all(lambda sup: sup.count_children(timeout_s=timeout_s))
        return Counts(
            *(
                sum(getattr(counts, field) for counts in found)
                for field in ("specs", "active", "supervisors", "workers")
            )
        )

    async def update_specs(self, spec: SupervisorSpec, *, timeout_s: float | None = None) -> None:
        """See `Supervisor.update_specs`; in every partition, and in those that come after them."""
        children = tuple(_partitions(spec, self.partitions))
        root = SupervisorSpec(children=children, max_restarts=MAX_RESTARTS)
        await self._root.update_specs(root, timeout_s=timeout_s)
        await self._all(lambda sup: sup.update_specs(spec, timeout_s=timeout_s))

    async def tree(self, *, timeout_s: float | None = None) -> TreeNode:
        """The partitions and all below them."""
        return await self._root.tree(timeout_s=timeout_s)

    async def stop(self, *, timeout_s: float | None = None) -> None:
        """Stop all of it."""
        await self._root.stop(timeout_s=timeout_s)

    async def _all(self, call: Callable[[Supervisor], Awaitable[T]]) -> list[T]:
        return list(await asyncio.gather(*(self._on(index, call) for index in range(self.partitions))))

    async def _on(self, index: int, call: Callable[[Supervisor], Awaitable[T]]) -> T:
        partition = await self._partition(index)
        try:
            return await call(partition)
        except SupervisorDown:
            self._partitions[index] = None
            raise

    async def _partition(self, index: int) -> Supervisor:
        known = self._partitions[index]
        if known is None:
            row = await self._root.which_child(str(index))
            if not isinstance(row.child, Child):
                raise SupervisorDown(f"{self.name}/{index}", "it is being restarted")
            known = self._partitions[index] = await Supervisor.of(row.child)
        return known


def _partitions(spec: SupervisorSpec, count: int) -> Iterable[ChildSpec]:
    return [ChildSpec(str(index), start=spec) for index in range(count)]
