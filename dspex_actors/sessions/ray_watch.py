"""Who notices the end of hosts, and of whole nodes.

| Where the host runs | Who tells | After |
|---|---|---|
| on placement's node | its lifeline, its pidfd | 1 to 10 ms |
| on another one | the agent there, by pidfd; Ray's feed of deaths | 3 to 20 ms |
| on a node that is killed, frozen or cut off | the watch over nodes | 1.5 s at most |
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import psutil
import ray

from dspex_actors.sessions.placement import HostInfo, lifeline_of
from supervisors import lifeline
from supervisors.node_watch import NodeWatch
from supervisors.ray_nodes import node_watch
from supervisors.ray_watch import DeathFeed

log = logging.getLogger(__name__)

SAME_START_S = 2.0
FEED_RETRY_S = 0.5


class Watch:
    """Watches hosts and nodes, for the placement that leads and for one that stands by.

    `died`, `lost` and `draining` are called on the loop that `open` was called on; they must neither block nor raise.

    Attributes:
        here: The node of this process.
        gone: Nodes that are lost; a host there may still speak, and is not to be heard.
        leaving: Nodes that will go away.
        died: Is told the name of a host whose process has ended.
        lost: Is told a node that is lost, and all that runs there with it.
        draining: Is told a node that will go away.
    """

    def __init__(self) -> None:
        self.here: str = ray.get_runtime_context().get_node_id()
        self.gone: set[str] = set()
        self.leaving: set[str] = set()
        self.died: Callable[[str], None] = lambda _: None
        self.lost: Callable[[str], None] = lambda _: None
        self.draining: Callable[[str], None] = lambda _: None
        self._cancels: dict[str, Callable[[], None]] = {}
        self._feed = DeathFeed()
        self._nodes: NodeWatch = node_watch(lost=self._lost, back=self._back, draining=self._drains)

    async def open(self) -> None:
        """Begin; returns when Ray's feed of deaths is followed too."""
        await self._nodes.open()
        while True:
            try:
                return await self._feed.open()
            except Exception as error:  # Ray does not say which
                log.warning("Ray's control store does not answer yet: %s", error)
                await asyncio.sleep(FEED_RETRY_S)

    def others(self) -> list[str]:
        """The other nodes that are heard, and will stay."""
        return [id_ for id_ in self._nodes.heard if id_ not in self.leaving]

    def begin(self, info: HostInfo, handle: Any) -> bool:
        """Whether the host's process is there, so that its end will be told."""
        if info.node in self.gone:
            return False
        if info.node == self.here:
            return self._begin_near(info)
        tell = partial(self._told, info.name)
        key = self._nodes.watch(info.node, info.pid, ended=tell)
        self._feed.watch(handle._actor_id, lambda _: tell())
        self._cancels[info.name] = partial(self._end_far, info.node, key, handle._actor_id)
        return True

    def end(self, name: str) -> bool:
        """Watch a host no longer. Whether it was watched."""
        cancel = self._cancels.pop(name, None)
        if cancel is not None:
            cancel()
        return cancel is not None

    def _begin_near(self, info: HostInfo) -> bool:
        """Its end is told early by its lifeline, surely by a pidfd, which is readable when it has ended."""
        try:
            fd = os.pidfd_open(info.pid)
        except ProcessLookupError:
            return False
        if not _is_that(info):
            os.close(fd)
            return False
        loop, tell = asyncio.get_running_loop(), partial(self._told, info.name)
        loop.add_reader(fd, tell)
        try:
            lifeline.watch(lifeline_of(info.address), partial(loop.call_soon_threadsafe, tell))
        except OSError as error:
            log.warning("host %s has no lifeline, its end will be noticed 10 ms later: %s", info.name, error)
        self._cancels[info.name] = partial(_end_near, loop, fd)
        return True

    def _end_far(self, node: str, key: str, actor_id: Any) -> None:
        self._nodes.cancel(node, key)
        self._feed.forget(actor_id)

    def _told(self, name: str) -> None:
        if self.end(name):
            self.died(name)

    def _lost(self, node: str) -> None:
        self.gone.add(node)
        self.lost(node)

    def _back(self, node: str) -> None:
        """Ray was not told, or it would have ended all that ran there; what is told from there now is heard again."""
        self._nodes.readmit(node)
        self.gone.discard(node)

    def _drains(self, node: str) -> None:
        self.leaving.add(node)
        self.draining(node)


def _end_near(loop: asyncio.AbstractEventLoop, fd: int) -> None:
    loop.remove_reader(fd)
    os.close(fd)


def _is_that(info: HostInfo) -> bool:
    # Processes may read the time of boot, which start times are counted from, a little differently.
    try:
        return abs(psutil.Process(info.pid).create_time() - info.started) < SAME_START_S
    except psutil.NoSuchProcess:
        return False
