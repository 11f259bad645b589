"""Tasks that a program starts: none outlives the turn.

`asyncio` does not tell whose a task is, so the program loop gets a task factory that asks the context which turn is
running there. It chains the factory that was set before, and costs other tasks one look at a context variable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

logger = logging.getLogger("dspex_actors.programs")

GRACE_S = 1.0
"""How long cancelled tasks may take to clean up before the turn goes on without them, in seconds."""

_Factory = Callable[..., asyncio.Future[Any]]


class TurnTasks:
    """The unfinished tasks of one turn. Tasks started in it are cancelled when it closes, and at birth after that."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()
        self._closed = False

    def add(self, task: asyncio.Future[Any]) -> None:
        """Remembers a task until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._done)
        if self._closed:
            task.cancel()

    async def close(self) -> None:
        """Cancels what is left and waits for it, at most `GRACE_S`."""
        self._closed = True
        if not self._tasks:
            return
        left = set(self._tasks)
        for task in left:
            task.cancel()
        _, stuck = await asyncio.wait(left, timeout=GRACE_S)
        if stuck:
            logger.warning("%d tasks of a program did not stop within %s s of their turn's end", len(stuck), GRACE_S)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        # Looking at the outcome keeps asyncio from reporting what nobody awaits any more.
        if self._closed and not task.cancelled() and (error := task.exception()):
            logger.info("a task that outlived its turn raised %s", type(error).__name__)


_TASKS: ContextVar[TurnTasks | None] = ContextVar("dspex_turn_tasks", default=None)


async def supervised(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs `work` as a task in a context of its own; when it ends, so do all tasks that were started in it."""
    loop = asyncio.get_running_loop()
    _watch(loop)
    tasks = TurnTasks()
    task = loop.create_task(_inside(tasks, work))
    try:
        return await task
    finally:
        await tasks.close()


async def _inside(tasks: TurnTasks, work: Coroutine[Any, Any, Any]) -> Any:
    _TASKS.set(tasks)
    return await work


class _Watcher:
    """The task factory of a loop that runs programs."""

    def __init__(self, before: _Factory | None) -> None:
        self._before = before or _plain_task

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> Any:
        task = self._before(loop, work, **options)
        tasks = _TASKS.get()
        if tasks is not None:
            tasks.add(task)
        return task


def _plain_task(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    return asyncio.Task(work, loop=loop, **options)


def _watch(loop: asyncio.AbstractEventLoop) -> None:
    before: Any = loop.get_task_factory()
    if not isinstance(before, _Watcher):
        watcher: Any = _Watcher(before)
        loop.set_task_factory(watcher)
