"""Heartbeats for Ray children: what a backend needs to hear of a hung one, on whichever node it is.

    hearts = RayHearts(nodes)  # nodes: what ray_nodes.node_watch gives, or None where there is one node
    pid, node_id = await hearts.begin(handle)  # once per child, a call to it before anything else is
    heart = hearts.watch(pid, node_id, hung=..., ended=...)

`begin` makes the child's process beat, whatever its class; this package must be importable there. It also makes it lead
a process group of its own, so that what it starts ends with it. From then on no calls are made: children of this node
are read in shared memory, those of other nodes by the agent there. A hung child is killed by pidfd right after
`hung(why)`: record why there, the exit that follows is `killed` for that reason. An adopted child beats already.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import ray

from supervisors import pulse
from supervisors.heartbeats import Heartbeat
from supervisors.hearts import Heart, Hearts
from supervisors.node_watch import NodeWatch
from supervisors.orphans import STARTER, VARIABLE, starter_of


def begin_beating(_actor: object, interval_s: float, mark: bytes) -> tuple[int, str]:
    """Runs in the child, by `__ray_call__`. What the child starts later inherits the mark and the group."""
    pulse.begin(interval_s, mark)
    if mark:
        os.environ |= {VARIABLE: mark.decode(), STARTER: starter_of(os.getpid())}
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    _end_with(os.getppid())
    node: str = ray.get_runtime_context().get_node_id()
    return os.getpid(), node


@cache
def _end_with(manager: int) -> None:
    """End this process and its group as soon as its node's manager does: Ray leaves some of them alive.

    One that was frozen with its node, and wakes up when the node is given up, would be a twin of its successor.
    """
    try:
        descriptor = os.pidfd_open(manager)
    except OSError:  # a container's first process has no parent that could be seen
        return

    def wait() -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, name="manager", daemon=True).start()


class RayHeart:
    """A watched child."""

    def __init__(self, kill: Callable[[], None], cancel: Callable[[], None]) -> None:
        self._kill, self._cancel = kill, cancel

    def kill(self) -> None:
        """SIGKILL its process, from outside and on its node; faster than Ray and also when it is stopped."""
        self._kill()

    def cancel(self) -> None:
        """Watch it no longer."""
        self._cancel()


class RayHearts:
    """Watches the children of one supervisor process.

    Callbacks come in the loop that made this. One hung child is killed at a time on each node.

    Args:
        nodes: What watches the other nodes; None: children there are not watched.
        options: When a silent child is judged that has no options of its own.
    """

    def __init__(self, nodes: NodeWatch | None = None, options: Heartbeat | None = None) -> None:
        self._options = options or Heartbeat()
        self._nodes = nodes
        self._loop = asyncio.get_running_loop()
        self._here: str = ray.get_runtime_context().get_node_id()
        self._hearts = Hearts(self._options)

    def begin(self, handle: Any, mark: bytes = b"", *, interval_s: float | None = None) -> Any:
        """Make a child beat. A call to the child, which also waits until its constructor is done.

        Args:
            handle: Ray's handle.
            mark: What an orphan sweep should know of it: `orphans.Mark.encode()`, or nothing.
            interval_s: How often it beats; None is as the options of all say.

        Returns:
            The call's reference, to await: its process's number and its node. It raises what calls to actors raise,
            and what `pulse.begin` does.
        """
        return handle.__ray_call__.remote(begin_beating, interval_s or self._options.interval_s, mark)

    def watch(
        self,
        pid: int,
        node_id: str,
        *,
        hung: Callable[[str], None] | None = None,
        ended: Callable[[], None] = lambda: None,
        early: bool = False,
        options: Heartbeat | None = None,
    ) -> RayHeart:
        """Watch a child that beats.

        Args:
            pid: Its process on its node.
            node_id: Its node.
            hung: Is told why, once, if it hangs; it is killed right after that. None: hanging is nobody's business.
            ended: Is told once when its process has ended, unless its node is lost.
            early: On this node, tell `ended` 1 to 3 ms after the end has begun, at the price of a thread.
            options: When it is judged, if it is silent.

        Raises:
            NotBeating: It is on this node and has no pulse, or is gone already.
        """
        if node_id != self._here:
            return self._far(pid, node_id, hung, ended, options or self._options)

        def condemn(why: str) -> None:
            if hung is not None:
                hung(why)
            heart.kill()

        heart: Heart = self._hearts.watch(
            pid,
            hung=(lambda why: self._tell(condemn, why)) if hung is not None else None,
            ended=lambda: self._tell(ended),
            early=early,
            options=options,
        )
        return RayHeart(heart.kill, heart.cancel)

    def close(self) -> None:
        """Watch nobody any more; the `NodeWatch` is its owner's to close."""
        self._hearts.close()

    def _far(
        self, pid: int, node_id: str, hung: Callable[[str], None] | None, ended: Callable[[], None], options: Heartbeat
    ) -> RayHeart:
        nodes = self._nodes
        if nodes is None:
            return RayHeart(lambda: None, lambda: None)
        key = nodes.watch(node_id, pid, hung=hung, ended=ended, options=options)
        return RayHeart(lambda: nodes.kill(node_id, key), lambda: nodes.cancel(node_id, key))

    def _tell(self, told: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody listens
            self._loop.call_soon_threadsafe(told, *args)
