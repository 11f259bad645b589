"""Children of one process, and words for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from supervisors import Child, ChildSpec, Process, Supervisor

OFTEN = 1_000_000


class Counter:
    """A plain class."""

    def __init__(self, first: int = 0) -> None:
        self.value = first
        self.gate = asyncio.Event()

    def add(self, number: int) -> int:
        """The sum."""
        self.value += number
        return self.value

    def boom(self) -> None:
        """Raises."""
        raise ValueError("boom")

    async def wait(self) -> str:
        """Until the gate opens."""
        await self.gate.wait()
        return "through"

    async def late_boom(self) -> None:
        """Raises when the gate opens."""
        await self.gate.wait()
        raise ValueError("late boom")


class Stubborn(Process):
    """Does not end when it is cancelled, until the gate opens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.cleaning = asyncio.Event()

    async def run(self) -> None:
        """As said."""
        try:
            await asyncio.Event().wait()
        finally:
            self.cleaning.set()
            await self.gate.wait()


async def started(*children: ChildSpec, **options: Any) -> Supervisor:
    """A local supervisor that may restart at will."""
    return await Supervisor.start(children=children, backend="local", **{"max_restarts": OFTEN} | options)


async def child_of(sup: Supervisor, id_: str) -> Child:
    """The child that runs."""
    child = (await sup.which_child(id_)).child
    assert isinstance(child, Child)
    return child


async def until(condition: Callable[[], Any]) -> None:
    """Let others run until the condition is true."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0)
