"""Which other nodes live, which are lost, and who hangs there: over one connection to an agent on each node.

Free of Ray: what it asks and tells is behind the port in `nodes`; `ray_nodes` has the one for Ray. Each other node runs
one agent (`node_agent`, shared by all supervisors), which beats over a TCP connection of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, TypeVar

from supervisors.heartbeats import Heartbeat, NodeBeat, NodeDetector, NodeVerdict
from supervisors.nodes import Address, Agent, Nodes, connected, knock
from supervisors.orphans import Claim

log = logging.getLogger(__name__)

T = TypeVar("T")

_POLL_S = 0.5
_DRAIN_POLL_S = 0.1
_PAUSE_S = 0.2
_PROMPT_S = 0.5
_TOLD_S = 0.1


@dataclass(slots=True)
class Watched:
    """A child on another node, watched by the agent there. Made by `NodeWatch.watch`."""

    pid: int
    options: Heartbeat | None
    hung: Callable[[str], None] | None
    ended: Callable[[], None]


@dataclass(slots=True)
class _Node:
    """What is known of one node; `manager` is where that of the node listens."""

    id: str
    manager: Address
    detector: NodeDetector
    agent: Agent | None = None
    following: asyncio.Task[None] | None = None
    line: str = ""  # names our connection to the agent
    refusals: int = 0
    gone: bool = False  # the cluster has dropped it: it never comes back
    untold: bool = False  # lost, and who asks has not been told
    watched: dict[str, Watched] = field(default_factory=dict)


class NodeWatch:
    """Watches all nodes but the one that it runs on; one for a process is enough.

    Callbacks come in the loop that `open` was called in; they must neither block nor raise.

    Args:
        nodes: The cluster.
        lost: A node is lost: whoever runs there is to be given up. Told once, until the node comes back.
        back: A lost node is heard again: its children are stale by epoch. End them, then call `readmit`.
        draining: A node will go away; told once, a tenth of a second after the cluster knows.
        options: When a silent node is lost.
        bury: Whether the cluster is told of a loss.
    """

    def __init__(
        self,
        nodes: Nodes,
        *,
        lost: Callable[[str], None],
        back: Callable[[str], None] = lambda _: None,
        draining: Callable[[str], None] = lambda _: None,
        options: NodeBeat | None = None,
        bury: bool = True,
    ) -> None:
        self._cluster = nodes
        self._lost, self._back, self._draining = lost, back, draining
        self._options = options or NodeBeat()
        self._bury_lost = bury
        self._claim: Claim | None = None
        self._nodes: dict[str, _Node] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()

    async def open(self) -> None:
        """Begin to watch. The first agents take a second or two to start; until then the cluster's word counts."""
        self._listing = asyncio.gather(self._list(), self._list_draining())
        self._spawn(self._look())

    async def close(self) -> None:
        """Watch no more."""
        self._closing.set()
        await self._listing  # Ray's client cannot take it when a question is cancelled
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_heard(self, timeout_s: float) -> frozenset[str]:
        """Wait until every other node that the cluster lists now is heard, or the time is up.

        Starting many children is slow for an agent that starts among them: wait for it first.

        Returns:
            The nodes that are not heard yet.

        Raises:
            ConnectionError: The cluster does not answer.
        """
        silent: frozenset[str] = frozenset(await self._cluster.alive()) - {self._cluster.here}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while silent:
                    await asyncio.sleep(_PAUSE_S)
                    silent = frozenset(id_ for id_ in silent if self.verdict(id_) == "unknown")
        return silent

    def verdict(self, node_id: str) -> NodeVerdict:
        """What is known of a node; one that is not (or no longer) in the cluster is `unknown`, our own is alive."""
        if node_id == self._cluster.here:
            return "alive"
        return self._nodes[node_id].detector.verdict if node_id in self._nodes else "unknown"

    @property
    def lost_nodes(self) -> frozenset[str]:
        """The nodes on which nothing should be started, zombies too."""
        return frozenset(id_ for id_, node in self._nodes.items() if node.detector.verdict in ("lost", "zombie"))

    @property
    def heard(self) -> frozenset[str]:
        """The nodes that are heard."""
        return frozenset(id_ for id_, node in self._nodes.items() if node.detector.verdict == "alive")

    def readmit(self, node_id: str) -> None:
        """Its stale children are no more."""
        if node_id in self._nodes:
            self._nodes[node_id].detector.readmit()

    def watch(
        self,
        node_id: str,
        pid: int,
        *,
        hung: Callable[[str], None] | None = None,
        ended: Callable[[], None],
        options: Heartbeat | None = None,
    ) -> str:
        """Let the agent of a node watch a child there, as soon as there is an agent, and again if that is replaced.

        Args:
            node_id: Another node.
            pid: The child's process there, which beats.
            hung: Is told why, once, if it hangs; it is killed right after that. None: hanging is nobody's business.
            ended: Is told when it has ended; not if its node is lost.
            options: When it is judged, if it is silent.

        Returns:
            What `cancel` takes.
        """
        key = secrets.token_hex(8)
        node = self._nodes.setdefault(node_id, _Node(node_id, ("", 0), NodeDetector(self._options)))
        node.watched[key] = Watched(pid, (options or Heartbeat()) if hung else None, hung, ended)
        if node.agent is not None and node.detector.verdict != "unknown":
            self._spawn(self._watch(node, node.agent, key))
        return key

    def sweep(self, claim: Claim) -> None:
        """Let each other node kill what earlier lives of a supervisor have left there, when it is heard."""
        self._claim = claim
        for node in self._nodes.values():
            if node.agent is not None and node.detector.verdict == "alive":
                self._spawn(self._sweep(node, node.agent))

    def cancel(self, node_id: str, key: str) -> None:
        """Watch a child no longer."""
        node = self._nodes.get(node_id)
        if node is not None and node.watched.pop(key, None) is not None and node.agent is not None:
            node.agent.cancel(node.line, key)

    def kill(self, node_id: str, key: str) -> None:
        """SIGKILL a watched child; nothing if its node has no agent now."""
        node = self._nodes.get(node_id)
        if node is not None and node.agent is not None:
            node.agent.kill(node.line, key)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _list(self) -> None:
        """Learn of nodes from the cluster: new ones, and dead ones."""
        following: AbstractSet[str] = frozenset()
        while not self._closing.is_set():
            try:
                alive = await self._cluster.alive()
            except ConnectionError as error:
                log.warning("the cluster does not answer, its nodes are watched as they were: %s", error)
            else:
                for id_ in following - alive.keys():
                    self._drop(id_)
                for id_ in alive.keys() - following - {self._cluster.here}:
                    node = self._nodes.setdefault(id_, _Node(id_, alive[id_], NodeDetector(self._options)))
                    node.manager, node.following = alive[id_], self._spawn(self._follow(node))
                following = alive.keys() - {self._cluster.here}
            for node in [each for each in self._nodes.values() if each.detector.verdict == "unknown"]:
                self._spawn(self._try_manager(node))
            await self._pause(_POLL_S)

    async def _list_draining(self) -> None:
        known = set[str]()
        while not self._closing.is_set():
            try:
                found = await self._cluster.draining()
            except ConnectionError as error:
                log.debug("the cluster does not say which nodes will go away: %s", error)
            else:
                for id_ in found - known:
                    self._draining(id_)
                known = found
            await self._pause(_DRAIN_POLL_S if self._nodes else _POLL_S)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def _drop(self, id_: str) -> None:
        """The cluster says that it is dead; node ids are never used again."""
        node = self._nodes.pop(id_)
        node.gone = True
        if node.following is not None:
            node.following.cancel()
        if node.detector.lose():
            self._note_lost(node, "the cluster says so", bury=False)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for node in list(self._nodes.values()):
                if node.detector.look(loop.time()):
                    self._note_lost(node, f"no beat within {self._options.node_timeout_s:g} s", self._bury_lost)
            await asyncio.sleep(self._options.interval_s)

    def _lose(self, node: _Node, why: str) -> None:
        if node.detector.lose():
            self._note_lost(node, why, self._bury_lost)

    def _note_lost(self, node: _Node, why: str, bury: bool) -> None:
        log.warning("node %s is lost: %s", node.id, why)
        node.watched.clear()
        node.untold = True
        if bury:
            self._spawn(self._bury(node, why))
        else:
            self._tell_lost(node)

    def _tell_lost(self, node: _Node) -> None:
        if node.untold:
            node.untold = False
            self._lost(node.id)

    async def _bury(self, node: _Node, why: str) -> None:
        """Let the cluster know, as long as it takes: its control store may be away.

        Those who ask are told after the first try, so that what they start again does not land there; but they do not
        wait long for it: who buries a node a moment after another watch gets no answer.
        """
        while not node.gone and node.detector.verdict == "lost":
            trying = self._spawn(self._try_to_bury(node, why))
            await asyncio.wait({trying}, timeout=_TOLD_S if node.untold else None)
            self._tell_lost(node)
            if await trying:
                return
            # It may have been us who were cut off: then the node is heard before this is tried again.
            await asyncio.sleep(self._options.node_timeout_s)
        self._tell_lost(node)

    async def _try_to_bury(self, node: _Node, why: str) -> bool:
        """Only a cluster that answers at once is told: to one that was away, the node may have been heard meanwhile."""
        began = asyncio.get_running_loop().time()
        try:
            await self._cluster.alive()
            if asyncio.get_running_loop().time() - began > _PROMPT_S or node.detector.verdict != "lost":
                return False
            await self._cluster.bury(node.id, why)
        except ConnectionError as error:
            log.debug("the cluster cannot be told that node %s is lost: %s", node.id, error)
            return False
        return True

    async def _follow(self, node: _Node) -> None:
        """Keep an agent on the node and listen to it, until the cluster drops the node: a lost one may come back."""
        while not node.gone:
            try:
                agent = await self._cluster.agent(node.id, node.manager[0])
                reader, writer = await connected(await agent.address())
            except (OSError, TimeoutError) as error:
                log.debug("no agent on node %s yet: %s", node.id, error)
                await asyncio.sleep(_PAUSE_S)
                continue
            try:
                await self._listen(node, agent, reader, writer)
            except Exception:  # of those who are told: the node is to be heard all the same
                log.exception("node %s is connected to anew", node.id)
            finally:
                node.agent = None
                writer.close()
            await self._after_end(node)

    async def _listen(
        self, node: _Node, agent: Agent, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        node.line = secrets.token_hex(8)
        writer.write(f"{node.line}\n".encode())
        node.agent = agent
        with contextlib.suppress(OSError, ValueError):
            while line := (await reader.readline()).decode().strip():
                if line == ".":
                    self._beat(node)
                else:
                    self._note(node, line)

    def _beat(self, node: _Node) -> None:
        first = node.detector.verdict == "unknown"
        if node.detector.beat():
            log.warning("node %s is back", node.id)
            self._tell_lost(node)
            self._back(node.id)
        if first and node.agent is not None:
            self._spawn(self._sweep(node, node.agent))
            for key in node.watched:
                self._spawn(self._watch(node, node.agent, key))

    def _note(self, node: _Node, line: str) -> None:
        word, _, rest = line.partition(" ")
        key, _, why = rest.partition(" ")
        watched = node.watched.get(key)
        if word == "gone":
            self._lose(node, "its manager has ended")
        elif word == "hung" and watched is not None and watched.hung is not None:
            watched.hung(why)
            self.kill(node.id, key)
        elif word == "ended" and node.watched.pop(key, None) is not None and watched is not None:
            watched.ended()

    async def _watch(self, node: _Node, agent: Agent, key: str) -> None:
        watched = node.watched.get(key)
        if watched is None:
            return
        with contextlib.suppress(ConnectionError):  # the next agent is told again
            problem = await agent.watch(node.line, key, watched.pid, watched.options)
            if problem is not None:
                node.watched.pop(key, None)
                log.warning("a child on node %s is not watched: %s", node.id, problem)

    async def _sweep(self, node: _Node, agent: Agent) -> None:
        if self._claim is not None:
            try:
                await agent.sweep(self._claim)
            except ConnectionError as error:
                log.warning("node %s is not swept: %s", node.id, error)

    async def _after_end(self, node: _Node) -> None:
        """The agent has ended. If its manager answers, the node lives, and has to be heard anew to be missed."""
        if node.detector.verdict not in ("alive", "unknown"):
            return
        try:
            await knock(node.manager)
        except (OSError, TimeoutError):
            self._lose(node, "neither its agent nor its manager answers")
        else:
            node.detector.forget()

    async def _try_manager(self, node: _Node) -> None:
        """A node without an agent is lost when its manager's port is closed, twice."""
        try:
            await knock(node.manager)
        except ConnectionRefusedError:
            node.refusals += 1
            if node.refusals > 1 and node.detector.verdict == "unknown":
                self._lose(node, "its manager is not there")
        except (OSError, TimeoutError) as error:
            log.debug("the manager of node %s does not answer: %s", node.id, error)
        else:
            node.refusals = 0
