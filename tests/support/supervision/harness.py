"""What a backend brings to the contract."""

from __future__ import annotations

from typing import Any, Protocol

from supervisors import Child, Exit


class Harness(Protocol):
    """How children of one backend are reached from a test.

    Attributes:
        backend: For `Supervisor.start`.
        options: For every `ChildSpec` of a worker.
        wait_s: How long a condition may take to come true before a law is broken.
        moment_s: Longer than a child takes to start, or to hear that it is to end, when nothing holds it up.
        max_seconds: The window of restarts where a law does not say; several restarts must fit into it.
    """

    backend: str
    options: dict[str, Any]
    wait_s: float
    moment_s: float
    max_seconds: float

    async def ask(self, child: Child, method: str, *args: Any) -> Any:
        """The answer of a child's method."""
        ...

    async def crash(self, child: Child) -> None:
        """End it with an error; may return before it is gone."""
        ...

    async def leave(self, child: Child, reason: Exit) -> None:
        """Call `leave(reason)` of a `Person`, which ends with that reason; there need not be an answer."""
        ...

    async def is_alive(self, child: Child) -> bool:
        """Whether this incarnation's process (or object) exists."""
        ...
