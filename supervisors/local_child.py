"""One incarnation of a child in this process: who it is, who calls it, who waits for its end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from supervisors.address import LOCAL
from supervisors.backend import Report
from supervisors.child import Child
from supervisors.errors import ChildCrashed, ChildGone
from supervisors.exits import Exit
from supervisors.messages import Exited, Ignored, Started, StartFailed
from supervisors.process import LINGER_S
from supervisors.spec import ChildSpec, Shutdown

_CANCELLED: Final = Exit("crash", "CancelledError: a call was cancelled from within")


class Host(Protocol):
    """The supervisor that an incarnation belongs to."""

    namespace: str
    node: LocalNode

    def now_rfc3339(self) -> str:
        """Wall-clock time."""
        ...

    def report(self, report: Report) -> None:
        """What became of one of its children."""
        ...


class Life(Protocol):
    """What an incarnation does: a plain object's, a `Process`'s or a nested supervisor's."""

    def begin(self) -> None:
        """Start it; never raises: the incarnation is told how that went."""
        ...

    def stop(self, shutdown: Shutdown) -> None:
        """Ask it to end, then end it."""
        ...

    def exit(self, reason: Exit) -> None:
        """End it without asking; the first reason counts."""
        ...


class LocalNode:
    """The names of one event loop: what is reached by name is reached within it."""

    _all: WeakKeyDictionary[asyncio.AbstractEventLoop, LocalNode] = WeakKeyDictionary()

    def __init__(self) -> None:
        self.children: dict[str, LocalChild] = {}
        self.roots: dict[tuple[str, str], Any] = {}  # the links of supervisors that nobody supervises

    @classmethod
    def here(cls) -> LocalNode:
        """That of the running loop."""
        loop = asyncio.get_running_loop()
        node = cls._all.get(loop)
        if node is None:
            node = cls._all[loop] = cls()
        return node


class LocalChild:
    """An incarnation, from before its start until it is gone.

    Guarantee: it ends in one report, after its name was given up and those who watch were told; the calls that it was
    serving have ended by then, or resisted being cancelled for a second.
    """

    __slots__ = (
        "calls",
        "host",
        "instance",
        "is_stopping",
        "key",
        "life",
        "name",
        "object",
        "reason",
        "spec",
        "started",
        "watchers",
    )

    def __init__(self, host: Host, key: str, instance: int, spec: ChildSpec, name: str) -> None:
        self.host, self.key, self.instance, self.spec, self.name = host, key, instance, spec, name
        self.life: Life
        self.object: Any = None
        self.started = self.is_stopping = False
        self.reason: Exit | None = None
        self.calls: set[asyncio.Future[Any]] | None = None
        self.watchers: list[Callable[[Exit], None]] | None = None
        host.node.children[name] = self

    def began(self, info: Any = None) -> None:
        """Its start succeeded."""
        self.started = True
        host, id_ = self.host, self.spec.id
        del self.spec  # its arguments may be large, and only the core starts anything again
        child = Child(id_, self.name, host.namespace, os.getpid(), LOCAL, host.now_rfc3339(), self.key, info)
        host.report(Started(self.key, self.instance, child))

    def ignored(self) -> None:
        """Its start said that there is nothing to run."""
        self._leave(Exit("normal"), Ignored(self.key, self.instance))

    def ended(self, reason: Exit) -> None:
        """It is over, or never came up; the first reason counts."""
        if self.reason is not None:
            return
        self.reason = reason
        current = asyncio.current_task()
        calls = [task for task in self.calls or () if not task.done() and task is not current]
        for task in calls:
            task.cancel()
        if calls:
            waiting = asyncio.ensure_future(asyncio.wait(calls, timeout=LINGER_S))
            waiting.add_done_callback(lambda _: self._ended())
        else:
            self._ended()

    def crashed(self, error: Exception) -> ChildCrashed:
        """A call let this exception out; what its caller is told."""
        reason = Exit("crash", f"{type(error).__name__}: {error}")
        self.life.exit(reason)
        return ChildCrashed(self.name, reason)

    async def follow(self, work: Awaitable[Any]) -> Any:
        """A call that takes time: it goes on when its caller gives up, and ends when the child does."""
        task = asyncio.ensure_future(work)
        if self.calls is None:
            self.calls = set()
        self.calls.add(task)
        task.add_done_callback(self._served)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if not task.cancelled() or (caller is not None and caller.cancelling()):
                raise
            raise ChildGone(self.name, self.reason or _CANCELLED) from None
        except Exception as error:
            raise self.crashed(error) from error

    def _served(self, task: asyncio.Future[Any]) -> None:
        """Nobody may be waiting for the answer any more; the child crashes all the same."""
        assert self.calls is not None
        self.calls.discard(task)
        if task.cancelled():
            self.life.exit(_CANCELLED)
        elif isinstance(error := task.exception(), Exception):
            self.crashed(error)

    def _ended(self) -> None:
        assert self.reason is not None
        kind = Exited if self.started else StartFailed
        self._leave(self.reason, kind(self.key, self.instance, self.reason))

    def _leave(self, reason: Exit, report: Report) -> None:
        self.reason, self.object = reason, None
        del self.host.node.children[self.name]
        for tell in self.watchers or ():
            tell(reason)
        self.host.report(report)
