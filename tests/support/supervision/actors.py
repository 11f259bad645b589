"""The children of the contract: they write `start`, `stop` and `stopped` with their name into the diary."""

from __future__ import annotations

import asyncio
from typing import Any

from supervisors import IGNORE, Exit, Process
from tests.support.supervision.desk import Desk


class Plain:
    """A class that inherits nothing."""

    def __init__(self, desk: Desk, name: str, *rest: Any) -> None:
        desk.write(f"start {name}")
        self._desk, self._name, self._rest = desk, name, rest
        if desk.has(f"refuse {name}"):
            raise ValueError(f"{name} refuses")

    def arguments(self) -> tuple[Any, ...]:
        """What it was made with, beyond desk and name."""
        return self._rest

    def terminate(self, reason: str) -> None:
        """Writes that down."""
        self._desk.write(f"stop {self._name}")
        if self._desk.has(f"fail {self._name}"):
            raise ValueError(f"{self._name} fails")


class Bare:
    """A class without `terminate`."""

    def __init__(self, desk: Desk, name: str) -> None:
        desk.write(f"start {name}")


class Person(Process):
    """A process. `hang` holds up its start, `linger` its end, until the note is taken away."""

    def __init__(self, desk: Desk, name: str, *rest: Any) -> None:
        self._desk, self._name, self._rest = desk, name, rest

    async def init(self) -> Any:
        """As the notes say."""
        self._desk.write(f"start {self._name}")
        await self._while_noted("hang")
        if self._desk.has(f"refuse {self._name}"):
            raise ValueError(f"{self._name} refuses")
        if self._desk.has(f"ignore {self._name}"):
            return IGNORE
        return f"{self._name} is here"

    async def terminate(self, reason: str) -> None:
        """Writes down when it is asked, and when it has ended."""
        self._desk.write(f"stop {self._name}")
        await self._while_noted("linger")
        if self._desk.has(f"fail {self._name}"):
            raise ValueError(f"{self._name} fails")
        self._desk.write(f"stopped {self._name}")

    async def arguments(self) -> tuple[Any, ...]:
        """What it was made with, beyond desk and name."""
        return self._rest

    async def leave(self, reason: Exit) -> None:
        """End with that reason."""
        self.exit(reason)

    async def _while_noted(self, note: str) -> None:
        while self._desk.has(f"{note} {self._name}"):  # noqa: ASYNC110 - a note can only be looked for
            await asyncio.sleep(0.002)


class Named:
    """Knows its incarnation."""

    def __init__(self, desk: Desk, id: str, *, name: str) -> None:  # noqa: A002
        self._name = name

    def given_name(self) -> str:
        """What it was told."""
        return self._name
