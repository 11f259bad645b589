"""What keeps the books of registries and groups: the port between the rules and a kind of process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol
from weakref import WeakKeyDictionary

from supervisors.entries import Event, Holder, Operation
from supervisors.errors import BadSpec
from supervisors.registry_core import Directory

Backend = Literal["local", "ray"]
CALL_TIMEOUT_S: Final = 30.0
"""How long a change waits for a keeper that is being restarted."""


class Keeper(Protocol):
    """The way to the books, with a copy of them at hand.

    Guarantees: what an answered `ask` changed is in `directory`. A process that is over has no entry in it when
    anybody is told of its end by this package.
    """

    @property
    def directory(self) -> Directory:
        """All books; for reading only."""
        ...

    @property
    def node(self) -> str:
        """The node of this process."""
        ...

    async def holder(self, who: Any) -> Holder:  # each backend has its own kinds of processes
        """A process as the books name it; None is the one that asks, where that is known."""
        ...

    def new_id(self) -> str:
        """For an entry: unique for ever."""
        ...

    async def ask(self, operation: Operation, timeout_s: float) -> Any:
        """The answer, or the error that is one."""
        ...

    async def sync(self, timeout_s: float) -> None:
        """Wait until `directory` has all that was changed before now, by anybody."""
        ...

    def listen(self, tell: Callable[[Event], None]) -> Callable[[], None]:
        """Be told of each event after it is in `directory`; returns what ends that. `tell` must not raise."""
        ...

    async def call(self, who: Holder, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a method of a process. Raises ChildGone if it is over."""
        ...


async def find_keeper(backend: Backend, home: str, namespace: str, timeout_s: float) -> Keeper:
    """The keeper of a backend as this event loop reaches it.

    Raises:
        BadSpec: There is no such backend.
        RegistryDown: No keeper of that name answers.
    """
    if backend == "local":
        from supervisors import local_registry

        return local_registry.LocalKeeper.here()
    if backend == "ray":
        from supervisors import ray_registry

        return await ray_registry.find(home, namespace, timeout_s)
    raise BadSpec(f"backend={backend!r} is not known; accepted: 'local', 'ray'.")


_copies: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Callable[[str], None]]] = WeakKeyDictionary()


def on_release(forget: Callable[[str], None]) -> None:
    """Have `forget` called with an incarnation when `release` is, on this event loop."""
    _copies.setdefault(asyncio.get_running_loop(), []).append(forget)


def release(incarnation: str) -> None:
    """A process is over: no lookup on this event loop finds it any more. To be called before anybody is told.

    Args:
        incarnation: As in its `Address`; under Ray, the actor's id in hex.
    """
    for forget in _copies.get(asyncio.get_running_loop(), ()):
        forget(incarnation)
