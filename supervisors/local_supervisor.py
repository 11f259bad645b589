"""Supervisors in this process: the way to reach one, and the life of a nested one. None of them costs a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from supervisors import messages as m
from supervisors.address import LOCAL, Address
from supervisors.backend import TreeNode
from supervisors.clock import Clock, SystemClock
from supervisors.errors import AlreadyStarted, CallTimeout, SupervisorDown
from supervisors.exits import KILLED, SHUTDOWN, Exit
from supervisors.happenings import Happenings
from supervisors.incarnation import incarnation
from supervisors.local_backend import LocalBackend, check
from supervisors.local_child import LocalChild, LocalNode
from supervisors.server import Server
from supervisors.spec import BRUTAL_KILL, INFINITY, Shutdown, SupervisorSpec


class LocalLink:
    """The way to a supervisor of this process."""

    def __init__(self, address: Address, server: Server, backend: LocalBackend) -> None:
        self.address: Final = address
        self.watchers: list[Callable[[Exit], None]] = []
        self._server, self._backend = server, backend

    @property
    def name(self) -> str:
        """Its name."""
        return self.address.name

    def left(self, reason: Exit) -> None:
        """It is over: tell those who watch one that nobody supervises."""
        for tell in self.watchers:
            tell(reason)

    async def call(self, request: m.Request, timeout_s: float | None) -> Any:
        """The answer to a request."""
        if self._server.is_over:
            raise SupervisorDown(self.name)
        if isinstance(request, m.StartChild | m.UpdateSpecs):
            check(request.spec)
        return await self._within(self._server.call(request), timeout_s)

    async def tree(self, timeout_s: float | None) -> TreeNode:
        """What it supervises."""
        if self._server.is_over:
            raise SupervisorDown(self.name)
        tree: TreeNode = await self._within(self._server.tree(), timeout_s)
        return tree

    async def stop(self, timeout_s: float | None) -> None:
        """Stop it gracefully."""
        await self._within(self._server.stop(SHUTDOWN), timeout_s)

    def events(self) -> Happenings:
        """What happens to its children."""
        return self._server.events()

    async def ready(self, timeout_s: float | None) -> None:
        """Wait until it has started; end it if it does not."""
        try:
            error = await self._within(self._server.ready(), timeout_s)
        except (CallTimeout, asyncio.CancelledError):
            self.abort()
            await self._server.left()
            raise
        if error is not None:
            await self._server.left()
            raise error

    def abort(self) -> None:
        """End it without asking its children."""
        self._backend.brutal()
        self._server.handle(m.Stop(KILLED))

    def ask(self) -> None:
        """Begin to stop it gracefully."""
        self._server.handle(m.Stop(SHUTDOWN))

    def begin(self) -> None:
        """Start its children."""
        self._backend.attach(self._server.handle)
        self._server.begin()

    async def _within(self, work: Any, timeout_s: float | None) -> Any:  # each request names its own answer
        if timeout_s is None:
            return await work
        try:
            async with asyncio.timeout(timeout_s) as scope:
                return await work
        except TimeoutError:
            if not scope.expired():
                raise
            raise CallTimeout(self.name, timeout_s) from None


class NestedLife:
    """A supervisor under a supervisor: up when all its children are, over when none is left."""

    __slots__ = ("_child", "_link", "_path", "_reason", "_timers")

    def __init__(self, clock: Clock, child: LocalChild, path: str) -> None:
        self._child = child
        self._reason: Exit | None = None
        self._timers: list[asyncio.TimerHandle] = []
        backend = LocalBackend(path, child.name, child.host.namespace, partial(NestedLife, clock), clock)
        server = Server(child.spec.start, backend, clock, reached=self._reached)
        address = Address(child.name, child.host.namespace, LOCAL)
        self._link = child.object = LocalLink(address, server, backend)

    def begin(self) -> None:
        """Start its children."""
        timeout_s = self._child.spec.start_timeout_or_none
        if timeout_s is not None:
            late = Exit("init_failed", f"not started within {timeout_s:g} s")
            self._timers.append(asyncio.get_running_loop().call_later(timeout_s, self.exit, late))
        self._link.begin()

    def stop(self, shutdown: Shutdown) -> None:
        """Stop its children in reverse, for as long as that may take."""
        if shutdown == BRUTAL_KILL:
            self.exit(KILLED)
            return
        if shutdown != INFINITY:
            late = Exit("killed", f"terminate took longer than {shutdown:g} s")
            self._timers.append(asyncio.get_running_loop().call_later(float(shutdown), self.exit, late))
        self._link.ask()

    def exit(self, reason: Exit) -> None:
        """End it and all below it."""
        self._reason = self._reason or reason
        self._link.abort()

    def _reached(self, point: m.Ready | m.Leave) -> None:
        for timer in self._timers:
            timer.cancel()
        if isinstance(point, m.Ready):
            self._child.began()
        elif point.error is not None:
            self._child.ended(self._reason or Exit("init_failed", str(point.error)))
        else:
            self._child.ended(self._reason or point.reason)


async def start(spec: SupervisorSpec, *, name: str | None, namespace: str, timeout_s: float | None) -> LocalLink:
    """Start a supervisor and wait for its children. See `Supervisor.start`."""
    check(spec)
    roots = LocalNode.here().roots
    registered = name or incarnation("supervisor")
    key = (namespace, registered)
    if key in roots:
        raise AlreadyStarted(registered, None)

    def reached(point: m.Ready | m.Leave) -> None:
        if isinstance(point, m.Leave):
            roots.pop(key).left(point.reason)

    clock = SystemClock()
    backend = LocalBackend(name or registered, registered, namespace, partial(NestedLife, clock), clock)
    server = Server(spec, backend, clock, reached=reached)
    link = roots[key] = LocalLink(Address(registered, namespace, incarnation(LOCAL)), server, backend)
    link.begin()
    await link.ready(timeout_s)
    return link


def find(name: str, namespace: str) -> LocalLink:
    """A running supervisor by its name, or a nested one by that of its incarnation. See `Supervisor.find`."""
    node = LocalNode.here()
    link: LocalLink | None = node.roots.get((namespace, name))
    if link is None and name in node.children:
        link = node.children[name].object
    if not isinstance(link, LocalLink):
        raise SupervisorDown(name, "none of that name runs on this event loop")
    return link
