"""How a supervisor's children are, without waiting for Ray: their ends, their hangs, the loss of their nodes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import ray
from ray.exceptions import RayError, RayTaskError

from supervisors.errors import NotBeating
from supervisors.exits import KILLED
from supervisors.heartbeats import NodeBeat
from supervisors.orphans import Claim, Mark, sweep_claimed
from supervisors.ray_child import ChildActor
from supervisors.ray_heartbeats import RayHearts
from supervisors.ray_memory import segment
from supervisors.ray_nodes import node_watch
from supervisors.ray_watch import Process

if TYPE_CHECKING:
    from supervisors.ray_backend import RayBackend

log = logging.getLogger(__name__)

_RESTING_S = 60.0
"""How often a child beats whose hangs are nobody's business: its pulse carries its mark all the same."""
_OWNER_LETTERS = 600
_GRACE_S = 0.005


class Vitals:
    """Those of one supervisor's children.

    Every child is marked with the supervisor and the epoch of its life, so that what it leaves can be told from what
    others own. Other nodes are watched from the first child on one of them on, those of a detached tree at once.

    Args:
        backend: Whose children they are.
        namespace: The tree's.
        path: The supervisor's.
        node_beat: When a silent node is lost.
    """

    def __init__(self, backend: RayBackend, namespace: str, path: str, node_beat: NodeBeat | None) -> None:
        self._backend = backend
        self._owner = _owner(f"{segment(namespace)}|{path}")
        self._here: str = ray.get_runtime_context().get_node_id()
        self._nodes = node_watch(
            lost=backend.note_node_lost, back=self._readmit, draining=backend.places.avoid, options=node_beat
        )
        self._hearts = RayHearts(self._nodes)
        self._is_far = False
        self._mark = Mark(_cluster(), self._owner, 0)

    async def open(self, durable: bool, adopted: Iterable[ChildActor]) -> None:
        """Begin a life: its epoch is the time, for terms begin anew after an orderly end."""
        self._mark = Mark(self._mark.cluster, self._owner, time.time_ns() // 1000)
        if durable:
            await self._watch_nodes()
        self._backend.spawn(self._sweep(tuple(adopted)))

    async def close(self) -> None:
        """Watch nobody any more."""
        if self._is_far:
            await self._nodes.close()
        await asyncio.to_thread(self._hearts.close)

    async def begin(self, child: ChildActor) -> None:
        """Wait until its class is constructed, and make it beat; then follow it. Raises what its constructor does."""
        heartbeat = child.spec.heartbeat
        begin = self._hearts.begin(
            child.handle, self._mark.encode(), interval_s=heartbeat.interval_s if heartbeat else _RESTING_S
        )
        try:
            pid, child.node = await begin
        except RayTaskError as error:
            if heartbeat or child.says_why:
                raise
            # Its environment lacks this package, or its system what that needs. A plain class can do without.
            log.warning("child %s runs unwatched: %s", child.name, error.cause)
            await self._backend.locate(child)
            return
        child.process = Process(pid, here=False)
        await self.follow(child)

    async def begin_again(self, child: ChildActor) -> None:
        """The same for one that was adopted, and perhaps is busy."""
        with contextlib.suppress(RayError):
            await self.begin(child)

    async def follow(self, child: ChildActor) -> bool:
        """Hear of its end, and of its hanging if its specification asks for that, from where it runs.

        Returns:
            False if it does not beat, or is over.
        """
        if child.node != self._here:
            await self._watch_nodes()
        try:
            self._hearts.watch(
                child.process.pid,
                child.node,
                hung=child.condemn if child.spec.heartbeat else None,
                ended=lambda: self._ended(child),
                options=child.spec.heartbeat,
            )
        except NotBeating as error:
            # It is over, or its number is not ours to use, as in a container: Ray's word is all there is.
            log.debug("child %s is not watched: %s", child.name, error)
            return False
        child.process = Process(child.process.pid, here=child.node == self._here)
        return True

    def _ended(self, child: ChildActor) -> None:
        """Whoever leaves on purpose is known to Ray long before its process ends: so this one did not.

        Ray has a moment to say more, such as that memory ran out. Whether to restart a transient child that cannot say
        why it ends is for Ray's word alone to decide.
        """
        if child.says_why or child.spec.restart != "transient":
            asyncio.get_running_loop().call_later(_GRACE_S, child.note_death, KILLED)

    async def _watch_nodes(self) -> None:
        if not self._is_far:
            self._is_far = True
            await self._nodes.open()

    def _readmit(self, node: str) -> None:
        """A lost node is heard again; Ray has been told to end what ran there when it was lost."""
        self._nodes.readmit(node)
        self._backend.readmit(node)

    async def _sweep(self, adopted: tuple[ChildActor, ...]) -> None:
        """End what earlier lives have left, on every node; what was adopted stays."""
        await self._backend.check()
        # Several nodes may be on one machine: to each one the children of all others are adopted too.
        claim = Claim(self._mark, frozenset(child.process.pid for child in adopted))
        self._nodes.sweep(claim)
        try:
            killed = await asyncio.to_thread(sweep_claimed, claim)
        except (OSError, TimeoutError):
            log.exception("what former lives of %s have left is still there", self._owner)
            return
        for process in killed:
            log.warning("process %d, left by a former life of %s, was killed", process.identity.pid, self._owner)


def _cluster() -> str:
    cluster: str = ray._private.worker.global_worker.gcs_client.cluster_id.hex()  # type: ignore[attr-defined]
    return cluster


def _owner(path: str) -> str:
    """The path, or what stands for one that is too long for a mark."""
    return path if len(path) <= _OWNER_LETTERS else hashlib.sha256(path.encode()).hexdigest()
