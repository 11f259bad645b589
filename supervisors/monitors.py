"""Monitors for code that is no process itself: a script, a test, a web server."""

from __future__ import annotations

import asyncio
from typing import Any

from supervisors import local_links
from supervisors.address import LOCAL, Address, standing_for
from supervisors.child import Child
from supervisors.endpoint import Endpoint
from supervisors.exits import Exit
from supervisors.local_ref import LocalRef
from supervisors.process import Process
from supervisors.signals import Down, MonitorRef


class Watcher:
    """A monitor in place. Make it with `monitor`."""

    trap_exit = False

    def __init__(self) -> None:
        self._down: asyncio.Future[Down] = asyncio.get_running_loop().create_future()
        self._endpoint: Endpoint | None = None
        self._ref: MonitorRef | None = None

    async def down(self, timeout_s: float | None = None) -> Down:
        """Wait until the process is gone; asked again it answers the same.

        Raises:
            TimeoutError: It is still there after `timeout_s` seconds; the monitor stays.
            CancelledError: The monitor was given up.
        """
        return await asyncio.wait_for(asyncio.shield(self._down), timeout_s)

    def close(self) -> None:
        """Give the monitor up; whoever waits for it is cancelled. Nothing if it has reported."""
        if self._endpoint is not None and self._ref is not None:
            self._endpoint.demonitor(self._ref, flush=True)
        self._down.cancel()

    async def handle_exit(self, sender: Address, reason: Exit) -> None:
        """No signal comes to those outside."""

    async def handle_down(self, down: Down) -> None:
        """It is gone."""
        if not self._down.done():
            self._down.set_result(down)

    async def _begin(self, endpoint: Endpoint, other: Any) -> None:
        self._endpoint = endpoint
        self._ref = await endpoint.monitor(other)


async def monitor(other: Any) -> Watcher:  # whatever names a process, local or under Ray
    """Be told when a process is gone, from outside of any process. Plain classes can be monitored too.

        watcher = await monitor(child)
        down = await watcher.down()
        down.reason  # Exit("killed")

    Args:
        other: A `Child`, a `Supervisor`, an `Address`, a `LocalRef` or a Ray actor handle.

    Returns:
        The monitor, which is in place: an end that comes after this is seen with its reason, and whatever was gone
        before is reported with `noproc`.

    Raises:
        NotAProcess: It is nothing that can be watched.
    """
    watcher, other = Watcher(), standing_for(other)
    if _is_local(other):
        await watcher._begin(local_links.outside(watcher), other)
    else:
        from supervisors import ray_links

        await watcher._begin(await ray_links.outside(watcher), other)
    return watcher


def _is_local(other: Any) -> bool:
    match other:
        case Child():
            return other.node == LOCAL
        case Address():
            return other.is_local
        case _:
            return isinstance(other, LocalRef | Process)
