"""A child that says more than that it lives: how it ends, that it need not run, what it does when asked to end.

Inherit `Process` and the same class runs as an object in one process (`backend="local"`) and as a Ray actor. A plain
class is fine too: then its constructor is its start, and death and the backend's cause are all that is known of its
end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from weakref import WeakSet

from supervisors.address import Address
from supervisors.endpoint import Endpoint
from supervisors.errors import NotStarted
from supervisors.exits import NORMAL, SHUTDOWN, Exit
from supervisors.signals import Down, MonitorRef

LINGER_S: Final = 1.0
"""How long something that was cancelled may take to end before it is given up."""


class _Ignore:
    def __repr__(self) -> str:
        return "IGNORE"

    def __reduce__(self) -> str:
        return "IGNORE"  # one and the same, also when it has travelled


IGNORE: Final = _Ignore()
"""What `Process.init` returns when there is nothing to run; that is no error."""


class Process:
    """Override what you need; the defaults are a process that lives until it is asked to end."""

    trap_exit: bool = False
    """Exit signals of others arrive in `handle_exit`, and do not end this process. Only a kill still does."""

    _life: Life | None = None

    async def init(self) -> Any:
        """Runs before the child counts as started.

        Returns:
            `IGNORE`, or anything that whoever started the child should know: it is the child's `info`.

        Raises:
            Exception: The start failed, with this.
        """
        return None

    async def run(self) -> None:
        """The process's life: it ends with `normal` when this returns, with `crash` when it raises."""
        await asyncio.get_running_loop().create_future()

    async def terminate(self, reason: str) -> None:
        """The last thing before the end, when it was asked to end. `reason` is `shutdown`, or what the parent says."""

    def exit(self, reason: Exit = NORMAL) -> None:
        """End this process with that reason; `run` is cancelled, `terminate` is not called.

        In `init` it makes the start fail with that reason, when `init` has returned.

        Raises:
            RuntimeError: Nobody has started it.
        """
        if self._life is None:
            raise RuntimeError("This process has not been started; start it under a supervisor.")
        self._life.end(reason)

    async def handle_exit(self, sender: Address, reason: Exit) -> None:
        """A linked process ended, or someone sent an exit signal, while `trap_exit` was on; by default nothing."""

    async def handle_down(self, down: Down) -> None:
        """A monitored process is gone; by default nothing. What a handler raises is a crash."""

    async def link(self, other: Any) -> None:  # whatever names a process where this one runs
        """Link with another process: whichever ends first, with another reason than `normal`, ends the other one.

        One that is gone already sends the exit signal `noproc`. Linking twice is linking once.

        Args:
            other: A `Child`, an `Address`, or what else refers to it: a `LocalRef`, a Ray actor handle.

        Raises:
            NotAProcess: Its class does not inherit `Process`: it can be monitored, not linked.
            NotStarted: Nobody has started this process.
        """
        await self._links().link(other)

    async def unlink(self, other: Any) -> None:  # as for link
        """Leave a link, from either side. No exit that comes from it is handled after this; nothing without one."""
        await self._links().unlink(other)

    async def monitor(self, other: Any) -> MonitorRef:  # as for link; plain classes can be monitored
        """Be told once in `handle_down` when another process is gone; each call is a monitor of its own.

        One that is gone already reports `noproc`, one that cannot be reached `noconnection`.
        """
        return await self._links().monitor(other)

    def demonitor(self, ref: MonitorRef, *, flush: bool = False) -> bool:
        """Give up a monitor; with `flush` also its message that waits to be handled.

        Returns:
            Whether it had not reported yet.

        Raises:
            NotYourMonitor: Another process made it.
        """
        return self._links().demonitor(ref, flush=flush)

    async def send_exit(self, other: Any, reason: Exit = SHUTDOWN, *, kill: bool = False) -> None:  # as for link
        """Send an exit signal, as if from a link. `kill` cannot be trapped, and makes it end with `killed`."""
        await self._links().send_exit(other, reason, kill=kill)

    def _links(self) -> Endpoint:
        if self._life is None:
            raise NotStarted(type(self).__name__)
        return self._life.links()


class Life:
    """Runs a `Process` on the current loop; backends make one for each.

    Guarantee: `ended` is called once, when `run` has really ended, its cleaning up included; one that resists being
    cancelled for a second is given up.
    """

    __slots__ = (
        "_begun",
        "_connect",
        "_ended",
        "_endpoint",
        "_over",
        "_process",
        "_reason",
        "_task",
        "_tell",
        "_timer",
    )

    def __init__(
        self, process: Process, ended: Callable[[Exit], None], connect: Callable[[Process], Endpoint] | None = None
    ) -> None:
        self._process = process
        self._ended = ended
        self._connect = connect
        self._endpoint: Endpoint | None = None
        self._tell: Callable[[Exit, Callable[[], None]], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reason: Exit | None = None
        self._begun = self._over = False
        process._life = self

    @property
    def reason(self) -> Exit | None:
        """Why it ends; None while nothing speaks of that."""
        return self._reason

    @property
    def begun(self) -> bool:
        """Whether `init` is over."""
        return self._begun

    def links(self) -> Endpoint:
        """Its end of links and monitors; made when it is first needed."""
        if self._endpoint is None:
            if self._connect is None:
                raise NotStarted(type(self._process).__name__)
            self._endpoint = self._connect(self._process)
        return self._endpoint

    @property
    def endpoint(self) -> Endpoint | None:
        """Its end of links and monitors, if it was ever needed."""
        return self._endpoint

    @property
    def is_over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self._over

    def tell_first(self, tell: Callable[[Exit, Callable[[], None]], None]) -> None:
        """When it is over, call `tell` instead of `ended`; it tells others, and then calls its second argument."""
        self._tell = tell

    async def begin(self) -> Any:
        """Start it. Returns what `init` did; raises what `init` raised."""
        info = await self._process.init()
        self.go_on(info)
        return info

    def go_on(self, info: Any) -> None:
        """`init` is over and returned this: `run`, unless it is to be ignored or has ended itself."""
        self._begun = True
        if self._endpoint is not None:
            self._endpoint.open()
        if self._reason is not None:
            self._gone()
        elif info is not IGNORE and type(self._process).run is not Process.run:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def end(self, reason: Exit) -> None:
        """It ends, for this reason; the first one counts."""
        if self._reason is not None:
            return
        self._reason = reason
        loop = asyncio.get_running_loop()
        if self._task is not None:
            self._task.cancel()
            self._timer = loop.call_later(LINGER_S, self._gone)
        elif self._begun:
            loop.call_soon(self._gone)  # whoever called `exit` may finish what it does

    async def stop(self, reason: str) -> None:
        """Ask it to end: `terminate`, then the end. Raises what `terminate` raised."""
        try:
            await self._process.terminate(reason)
        finally:
            self.end(Exit("shutdown", "" if reason == "shutdown" else reason))

    async def _run(self) -> None:
        reason = NORMAL
        try:
            await self._process.run()
        except asyncio.CancelledError:
            if self._reason is None and _is_ending(asyncio.get_running_loop()):
                return  # nobody is left to be told, and a restart would leave a task behind
            reason = Exit("killed", "cancelled")
        except Exception as error:
            reason = Exit("crash", f"{type(error).__name__}: {error}")
        self._reason = self._reason or reason
        self._gone()

    def _gone(self) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        assert self._reason is not None
        if self._tell is None:
            self._ended(self._reason)
        else:
            self._tell(self._reason, partial(self._ended, self._reason))


_ending: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def _is_ending(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether everything on the loop is being cancelled, as at the end of `asyncio.run`."""
    if loop not in _ending and all(task.cancelling() for task in asyncio.all_tasks(loop)):
        _ending.add(loop)
    return loop in _ending
