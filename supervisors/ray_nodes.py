"""Node loss without waiting for Ray, which takes 14 s for a killed node and 65 s for a frozen one.

    watch = node_watch(lost=lambda node_id: ..., draining=lambda node_id: ...)
    await watch.open()
    ...
    await watch.close()

A node is lost when its beats are missing for `node_timeout_s`, when its agent sees its manager (the raylet) end, or
when Ray says so. Ray is told, unless `tell_ray` is False: its control store marks the node dead at once, so every actor
there dies with the cause NODE_DIED, nothing new is placed there, pending calls fail; and should the node come back, its
own raylet learns that and ends with all its workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ray
from ray._private.gcs_utils import create_gcs_channel
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from supervisors.errors import NotBeating
from supervisors.heartbeats import Heartbeat, NodeBeat
from supervisors.node_agent import NodeAgent
from supervisors.node_watch import NodeWatch
from supervisors.nodes import Address
from supervisors.orphans import Claim

NAMESPACE = "_supervisors"
_START_S = 60.0
_GCS_S = 5.0
_BURY_S = 1.0  # a longer one might arrive when it is not true any more
_ALIVE = 0  # GcsNodeInfo.ALIVE
_UNEXPECTED = 2  # NodeDeathInfo.UNEXPECTED_TERMINATION


def node_watch(
    *,
    lost: Callable[[str], None],
    back: Callable[[str], None] = lambda _: None,
    draining: Callable[[str], None] = lambda _: None,
    options: NodeBeat | None = None,
    tell_ray: bool = True,
) -> NodeWatch:
    """A watch over the nodes of the cluster that this process is connected to.

    Args:
        lost: See `NodeWatch`.
        back: See `NodeWatch`.
        draining: See `NodeWatch`.
        options: When a silent node is lost; who starts a node's agent first decides how often it beats.
        tell_ray: Whether Ray's control store is told of a loss.
    """
    nodes = RayNodes(options or NodeBeat())
    return NodeWatch(nodes, lost=lost, back=back, draining=draining, options=options, bury=tell_ray)


class RayNodeAgent(NodeAgent):
    """The agent as an actor: one on each node, detached, gone when nobody has listened for a while."""

    async def leave(self) -> None:
        """End the actor."""
        ray.get_runtime_context().current_actor.exit.remote()

    async def exit(self) -> None:
        """End the process; only an actor's own call may."""
        await self.close()
        ray.actor.exit_actor()  # type: ignore[no-untyped-call]


class RayAgent:
    """Calls to an agent that is an actor."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def address(self) -> Address:
        """Where it beats."""
        host, port = await _answer(self._handle.address.remote())
        return host, port

    async def watch(self, line: str, key: str, pid: int, options: Heartbeat | None) -> NotBeating | None:
        """Let it watch a child."""
        problem: NotBeating | None = await _answer(self._handle.watch.remote(line, key, pid, options))
        return problem

    async def sweep(self, claim: Claim) -> None:
        """Let it kill what earlier lives of a supervisor have left there."""
        await _answer(self._handle.sweep.remote(claim))

    def cancel(self, line: str, key: str) -> None:
        """Let it watch a child no longer."""
        self._handle.cancel.remote(line, key)

    def kill(self, line: str, key: str) -> None:
        """Let it SIGKILL a child."""
        self._handle.kill.remote(line, key)


async def _answer(ref: Any) -> Any:
    """What an actor answers. Raises ConnectionError if it is dead, broken, or silent for a minute."""
    try:
        async with asyncio.timeout(_START_S):
            return await ref
    except (RayError, TimeoutError) as error:
        raise ConnectionError(f"no agent answers: {type(error).__name__}") from error


class RayNodes:
    """What Ray's control store says, and is told, of nodes."""

    def __init__(self, beat: NodeBeat) -> None:
        self._beat = beat
        context = ray.get_runtime_context()
        self.here: str = context.get_node_id()
        self._gcs_address: str = context.gcs_address
        self._gcs = ray._private.worker.global_worker.gcs_client  # type: ignore[attr-defined]

    async def alive(self) -> dict[str, Address]:
        """The living nodes and their raylets."""
        try:
            nodes, _ = await self._gcs.async_get_all_node_info(timeout=_GCS_S, state_filter=_ALIVE)
        except Exception as error:  # Ray does not say which
            raise ConnectionError(f"Ray's control store does not answer: {error}") from error
        return {id_.hex(): (info.node_manager_address, info.node_manager_port) for id_, info in nodes.items()}

    async def draining(self) -> set[str]:
        """The draining nodes."""
        try:
            return set(await asyncio.to_thread(self._gcs.get_draining_nodes, timeout=_GCS_S))
        except Exception as error:  # Ray does not say which
            raise ConnectionError(f"Ray's control store does not answer: {error}") from error

    async def agent(self, node_id: str, host: str) -> RayAgent:
        """The node's agent, which may have been started by another process."""
        options = {
            "name": f"agent:{node_id}",
            "namespace": NAMESPACE,
            "get_if_exists": True,
            "lifetime": "detached",
            "num_cpus": 0,
            "max_concurrency": 1000,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node_id, soft=False),
        }
        create = ray.remote(RayNodeAgent).options(**options).remote
        try:
            return RayAgent(await asyncio.to_thread(create, host, self._beat))
        except Exception as error:  # Ray does not say which; two who start it at once are one of them
            raise ConnectionError(f"no agent on node {node_id}: {error}") from error

    async def bury(self, node_id: str, why: str) -> None:
        """Tell Ray that a node is dead; known to work on killed and on frozen ones."""
        request = gcs_service_pb2.UnregisterNodeRequest()  # type: ignore[attr-defined]
        request.node_id = bytes.fromhex(node_id)
        request.node_death_info.reason = _UNEXPECTED
        request.node_death_info.reason_message = f"given up by its supervisors: {why}"
        channel = create_gcs_channel(self._gcs_address, aio=True)
        stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)  # type: ignore[no-untyped-call]
        try:
            await stub.UnregisterNode(request, timeout=_BURY_S)
        except Exception as error:  # grpc's, which is Ray's dependency and not ours
            raise ConnectionError(f"Ray's control store does not answer: {error}") from error
        finally:
            await channel.close()
