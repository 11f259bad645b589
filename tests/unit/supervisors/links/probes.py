"""Processes that write down what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from supervisors import ChildSpec, Exit, Process, Supervisor
from supervisors.address import Address
from supervisors.child import Child
from supervisors.local_ref import local_ref
from supervisors.signals import Down, MonitorRef

WAIT_S = 10.0


class Probe(Process):
    """Puts what it is told into `told`."""

    def __init__(self, trap_exit: bool = False) -> None:
        self.trap_exit = trap_exit
        self.told: asyncio.Queue[tuple[Address, Exit] | Down] = asyncio.Queue()

    async def handle_exit(self, sender: Address, reason: Exit) -> None:
        await self.told.put((sender, reason))

    async def handle_down(self, down: Down) -> None:
        await self.told.put(down)


class Plain:
    """No process."""


class Clumsy(Probe):
    """Fails when it is told."""

    async def handle_down(self, down: Down) -> None:
        raise ValueError("cannot hear it")


class Slow(Probe):
    """Watches somebody while its `init` goes on until `go`."""

    def __init__(self, other: Any, watching: asyncio.Event, go: asyncio.Event) -> None:
        super().__init__()
        self._other, self._watching, self._go = other, watching, go

    async def init(self) -> MonitorRef:
        ref = await self.monitor(self._other)
        self._watching.set()
        await self._go.wait()
        assert self.told.empty()
        return ref


class Family:
    """Temporary children of one supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor

    async def start(self, id_: str, start: Any = Probe, *args: Any) -> Child:
        child = await self.supervisor.start_child(ChildSpec(id_, start=start, args=args, restart="temporary"))
        assert isinstance(child, Child)
        return child


def probe(child: Child) -> Probe:
    """The process itself."""
    found = local_ref(child).object
    assert isinstance(found, Probe)
    return found


async def told(child: Child) -> tuple[Address, Exit] | Down:
    """The next thing that it is told."""
    return await asyncio.wait_for(probe(child).told.get(), WAIT_S)


def run(story: Callable[[Family], Awaitable[None]]) -> None:
    """In a loop of its own, with a supervisor that is stopped afterwards."""

    async def whole() -> None:
        supervisor = await Supervisor.start(backend="local")
        await story(Family(supervisor))
        await supervisor.stop()

    asyncio.run(whole())
