"""One process's end of all its links and monitors: runs `links` on the process's event loop, over a transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Protocol

from supervisors import signals as sig
from supervisors.address import Address, standing_for
from supervisors.errors import NotYourMonitor
from supervisors.exits import Exit
from supervisors.links import LinkState, is_monitoring, step


class Owner(Protocol):
    """Whose end it is: a `Process`, or someone outside who watches."""

    trap_exit: bool

    async def handle_exit(self, sender: Address, reason: Exit) -> None:
        """A trapped exit signal."""
        ...

    async def handle_down(self, down: sig.Down) -> None:
        """A monitored process is gone."""
        ...


class Transport(Protocol):
    """Carries signals. Between one sender and one receiver their order holds; sending never waits and never raises."""

    def send(self, sender: Endpoint, to: Address, signal: sig.Signal) -> None:
        """Send a signal; nothing if the receiver is gone."""
        ...

    def watch(self, watcher: Endpoint, peer: Address) -> None:
        """Tell the watcher `gone` once when the peer is, soon if it is already."""
        ...

    def unwatch(self, watcher: Endpoint, peer: Address) -> None:
        """It need not be told any more."""
        ...

    async def wait_watching(self, peer: Address) -> None:
        """Wait until a watch that was begun is in place: an end after that is seen."""
        ...

    async def find(self, other: Any, *, process: bool) -> Address:  # what names a process is the transport's own
        """The address of what a user names.

        Raises:
            NotAProcess: It cannot be watched, or, with `process`, takes no signals.
        """
        ...

    def when_sent(self, sender: Endpoint, then: Callable[[], None]) -> None:
        """Call `then` when what was sent has arrived."""
        ...


class Endpoint:
    """What a process's own methods and its transport call. Messages are handled one after the other, after `init`.

    Args:
        me: Its address.
        owner: Whose it is.
        transport: Carries its signals.
        die: Is called when a signal, or a handler that failed, ends the process; `over` is to follow.
        opened: Whether `init` is over.
    """

    __slots__ = ("_die", "_numbers", "_opened", "_owner", "_reader", "_state", "_transport")

    def __init__(
        self, me: Address, owner: Owner, transport: Transport, die: Callable[[Exit], None], *, opened: bool = True
    ) -> None:
        self._state = LinkState(me)
        self._owner, self._transport, self._die, self._opened = owner, transport, die, opened
        self._numbers = count(1)
        self._reader: asyncio.Task[None] | None = None

    @property
    def address(self) -> Address:
        """The process's own."""
        return self._state.me

    @property
    def ended(self) -> Exit | None:
        """Why the process is over, if it is."""
        return self._state.ended

    async def link(self, other: Any) -> None:
        """See `Process.link`."""
        peer = await self._find(other, process=True)
        self._take(sig.LinkTo(peer))
        await self._transport.wait_watching(peer)

    async def unlink(self, other: Any) -> None:
        """See `Process.unlink`."""
        self._take(sig.UnlinkFrom(await self._find(other, process=True)))

    async def monitor(self, other: Any) -> sig.MonitorRef:
        """See `Process.monitor`."""
        peer = await self._find(other, process=False)
        ref = sig.MonitorRef(self.address, peer, next(self._numbers))
        self._take(sig.StartMonitor(ref))
        await self._transport.wait_watching(peer)
        return ref

    def demonitor(self, ref: sig.MonitorRef, *, flush: bool = False) -> bool:
        """See `Process.demonitor`."""
        if ref.watcher != self.address:
            raise NotYourMonitor(str(ref.watcher))
        was_there = is_monitoring(self._state, ref)
        self._take(sig.StopMonitor(ref, flush))
        return was_there

    async def send_exit(self, other: Any, reason: Exit, *, kill: bool = False) -> None:
        """See `Process.send_exit`."""
        self._take(sig.Tell(await self._find(other, process=True), sig.ExitSignal(reason, kill)))

    def arrived(self, sender: Address, signal: sig.Signal) -> None:
        """The transport brings a signal."""
        self._take(sig.Arrived(sender, signal))

    def gone(self, peer: Address, reason: Exit) -> None:
        """The transport saw a peer gone."""
        self._take(sig.Gone(peer, reason))

    def open(self) -> None:
        """`init` is over: what waits in the inbox can be handled."""
        self._opened = True
        self._read()

    def over(self, reason: Exit, then: Callable[[], None]) -> None:
        """The process is over: tell the others, and call `then` when they have been told."""
        self._take(sig.Ended(reason))
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()
        self._transport.when_sent(self, then)

    async def _find(self, other: Any, *, process: bool) -> Address:
        return await self._transport.find(standing_for(other), process=process)

    def _take(self, event: sig.Event) -> None:
        self._state.trap_exit = self._owner.trap_exit
        for effect in step(self._state, event):
            self._carry_out(effect)
        self._read()

    def _carry_out(self, effect: sig.Effect) -> None:
        match effect:
            case sig.Send(to, signal):
                self._transport.send(self, to, signal)
            case sig.Watch(peer):
                self._transport.watch(self, peer)
            case sig.Unwatch(peer):
                self._transport.unwatch(self, peer)
            case sig.Die(reason):
                self._die(reason)

    def _read(self) -> None:
        if self._opened and self._state.inbox and self._reader is None:
            self._reader = asyncio.get_running_loop().create_task(self._handle_all())

    async def _handle_all(self) -> None:
        try:
            while self._state.inbox:
                await self._handle(self._state.inbox.popleft())
        except Exception as error:
            self._die(Exit("crash", f"{type(error).__name__}: {error}"))
        finally:
            self._reader = None

    def _handle(self, message: sig.Message) -> Awaitable[None]:
        match message:
            case sig.ExitMessage(sender, reason):
                return self._owner.handle_exit(sender, reason)
            case sig.Down():
                return self._owner.handle_down(message)
