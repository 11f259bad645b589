"""What runs children: the port between the core's effects and a kind of process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from supervisors.messages import Exited, Ignored, Started, StartFailed
from supervisors.spec import ChildSpec, Shutdown

Report = Started | Ignored | StartFailed | Exited
TreeNode = dict[str, Any]  # plain data for JSON: see Server.tree


class Backend(Protocol):
    """Starts, watches and stops children. Reports arrive in the loop that `open` was called in."""

    async def open(self, report: Callable[[Report], None]) -> None:
        """Begin to watch; every instance that starts ends in exactly one `StartFailed`, `Ignored` or `Exited`."""
        ...

    def start(self, id: str, instance: int, spec: ChildSpec) -> None:  # noqa: A002
        """Begin a start; never raises: what goes wrong is reported."""
        ...

    def stop(self, id: str, instance: int, shutdown: Shutdown) -> None:  # noqa: A002
        """Begin to stop an instance, also one that is still starting; nothing if it is gone."""
        ...

    async def tree(self, id: str, instance: int) -> TreeNode | None:  # noqa: A002
        """What a nested supervisor says of itself; None if it does not answer within a second."""
        ...

    def whoami(self) -> TreeNode:
        """`pid`, `node` and `name` of the supervisor that this backend belongs to."""
        ...

    async def close(self) -> None:
        """Stop watching. The children are gone by then."""
        ...
