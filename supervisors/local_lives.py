"""What children of this process do between their start and their end: plain objects, and `Process`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from supervisors.endpoint import Endpoint
from supervisors.exits import KILLED, SHUTDOWN, Exit
from supervisors.local_child import LocalChild
from supervisors.local_links import connect
from supervisors.process import IGNORE, LINGER_S, Life, Process
from supervisors.spec import BRUTAL_KILL, INFINITY, ChildSpec, Shutdown


def make(spec: ChildSpec, name: str) -> Any:
    """The object; raises what its class does."""
    kwargs = {**spec.kwargs, "name": name} if spec.pass_name else spec.kwargs
    return spec.start(*spec.args, **kwargs)


def failure(error: BaseException) -> Exit:
    """Why a start failed."""
    return Exit("init_failed", f"{type(error).__name__}: {error}")


def terminate_raised(error: BaseException) -> Exit:
    """It was asked to end, and crashed."""
    return Exit("crash", f"terminate raised {type(error).__name__}: {error}")


class Asking:
    """A `terminate` that takes time: says once how the child ends by it. One out of time is cancelled and `killed`."""

    __slots__ = ("_ended", "_reason", "_task", "_timer")

    def __init__(self, work: Awaitable[Any], shutdown: Shutdown, ended: Callable[[Exit], None]) -> None:
        self._ended: Callable[[Exit], None] | None = ended
        self._reason: Exit | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(self._done)
        if shutdown != INFINITY:
            self._timer = asyncio.get_running_loop().call_later(float(shutdown), self._late, float(shutdown))

    def drop(self) -> None:
        """Nobody waits for it any more."""
        self._ended = None
        self._task.cancel()

    def _late(self, timeout_s: float) -> None:
        self._reason = Exit("killed", f"terminate took longer than {timeout_s:g} s")
        self._task.cancel()
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._tell, self._reason)

    def _done(self, task: asyncio.Future[Any]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if task.cancelled():
            reason = KILLED
        else:
            error = task.exception()
            reason = SHUTDOWN if error is None else terminate_raised(error)
        self._tell(self._reason or reason)

    def _tell(self, reason: Exit) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(reason)


class ObjectLife:
    """A plain class: its constructor is its start, and it lives until it is stopped or a call makes it crash."""

    __slots__ = ("_asking", "_child")

    def __init__(self, child: LocalChild) -> None:
        self._child = child
        self._asking: Asking | None = None

    def begin(self) -> None:
        """Make the object."""
        child = self._child
        try:
            child.object = make(child.spec, child.name)
        except Exception as error:
            child.ended(failure(error))
        else:
            child.began()

    def stop(self, shutdown: Shutdown) -> None:
        """`terminate`, if it has one and is to be asked."""
        terminate = getattr(self._child.object, "terminate", None)
        if shutdown == BRUTAL_KILL or not callable(terminate):
            self._child.ended(KILLED if shutdown == BRUTAL_KILL else SHUTDOWN)
            return
        try:
            answer = terminate("shutdown")
        except Exception as error:
            self._child.ended(terminate_raised(error))
            return
        if hasattr(answer, "__await__"):
            self._asking = Asking(answer, shutdown, self._child.ended)
        else:
            self._child.ended(SHUTDOWN)

    def exit(self, reason: Exit) -> None:
        """It is over."""
        if self._asking is not None:
            self._asking.drop()
        self._child.ended(reason)


class ProcessLife:
    """A `Process`: `init`, then `run`, until that ends or it is stopped."""

    __slots__ = ("_asking", "_child", "_life", "_starting", "_timer")

    def __init__(self, child: LocalChild) -> None:
        self._child = child
        self._asking: Asking | None = None
        self._life: Life | None = None
        self._starting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Make the object; an `init` of its own runs in a task."""
        child = self._child
        try:
            process = child.object = make(child.spec, child.name)
            life = self._life = Life(process, child.ended, self._connect)
        except Exception as error:
            child.ended(failure(error))
            return
        if type(process).init is Process.init:
            life.go_on(None)
            child.began()
            return
        loop, timeout_s = asyncio.get_running_loop(), child.spec.start_timeout_or_none
        self._starting = loop.create_task(self._start(life))
        self._starting.add_done_callback(self._start_is_over)
        if timeout_s is not None:
            late = Exit("init_failed", f"not started within {timeout_s:g} s")
            self._timer = loop.call_later(timeout_s, self.exit, late)

    def stop(self, shutdown: Shutdown) -> None:
        """`terminate` if it has started and is to be asked; its end otherwise."""
        process = self._child.object
        if shutdown == BRUTAL_KILL or not self._child.started:
            self.exit(KILLED)
        elif type(process).terminate is Process.terminate:
            self.exit(SHUTDOWN)
        else:
            self._asking = Asking(process.terminate("shutdown"), shutdown, self._end)

    def exit(self, reason: Exit) -> None:
        """It ends: `run` is cancelled, or `init`, which is given up after a second."""
        if self._asking is not None:
            self._asking.drop()
        self._end(reason)
        if self._starting is not None:
            self._starting.cancel()
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._child.ended, reason)

    def _connect(self, process: Process) -> Endpoint:
        return connect(process, self._child.name)

    def _end(self, reason: Exit) -> None:
        if self._life is not None:
            self._life.end(reason)

    async def _start(self, life: Life) -> None:
        child = self._child
        try:
            info = await life.begin()
        except Exception as error:
            child.ended(life.reason or failure(error))
            return
        if info is IGNORE:
            child.ignored()
        elif child.reason is None:
            child.began(info)

    def _start_is_over(self, task: asyncio.Task[None]) -> None:
        self._starting = None
        if self._timer is not None:
            self._timer.cancel()
        if task.cancelled():  # perhaps before it had begun
            assert self._life is not None
            self._child.ended(self._life.reason or KILLED)
