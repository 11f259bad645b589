"""What a watch over nodes asks of a cluster, and of the agent on each node: the port; `ray_nodes` has Ray's."""

from __future__ import annotations

import asyncio
from typing import Protocol

from supervisors.errors import NotBeating
from supervisors.heartbeats import Heartbeat
from supervisors.orphans import Claim

Address = tuple[str, int]

CONNECT_S = 1.0


class Agent(Protocol):
    """Calls to the agent of a node; those that wait raise ConnectionError when there is no such agent (any more)."""

    async def address(self) -> Address:
        """Where it beats."""
        ...

    async def watch(self, line: str, key: str, pid: int, options: Heartbeat | None) -> NotBeating | None:
        """Let it watch a child and tell of it on a connection; why it cannot, otherwise."""
        ...

    async def sweep(self, claim: Claim) -> None:
        """Let it kill what earlier lives of a supervisor have left there."""
        ...

    def cancel(self, line: str, key: str) -> None:
        """Let it watch a child no longer."""
        ...

    def kill(self, line: str, key: str) -> None:
        """Let it SIGKILL a child."""
        ...


class Nodes(Protocol):
    """What a cluster says of its nodes. Raises ConnectionError if it does not answer."""

    @property
    def here(self) -> str:
        """The id of the node that we run on."""
        ...

    async def alive(self) -> dict[str, Address]:
        """The nodes that the cluster counts as alive, with the address of each one's manager."""
        ...

    async def draining(self) -> set[str]:
        """The nodes that will go away."""
        ...

    async def agent(self, node_id: str, host: str) -> Agent:
        """The agent of a node, started if there is none; it listens at the node's `host`."""
        ...

    async def bury(self, node_id: str, why: str) -> None:
        """Let the cluster count a node as dead."""
        ...


async def connected(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Raises OSError or TimeoutError."""
    return await asyncio.wait_for(asyncio.open_connection(*address), CONNECT_S)


async def knock(address: Address) -> None:
    """Connect and leave. Raises OSError or TimeoutError."""
    _, writer = await connected(address)
    writer.close()
