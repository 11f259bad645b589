"""Links and monitors between the children of one event loop: signals are steps of the loop, in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from supervisors import signals as sig
from supervisors.address import LOCAL, Address
from supervisors.child import Child
from supervisors.endpoint import Endpoint, Owner
from supervisors.errors import NotAProcess
from supervisors.exits import Exit
from supervisors.incarnation import incarnation
from supervisors.local_child import LocalChild, LocalNode
from supervisors.local_ref import LocalRef, local_ref
from supervisors.process import Process

_NAMEABLE: Final = "Name it by its Child, Address or LocalRef, or a Process that has been started."
_LINKABLE: Final = "Its class does not inherit Process: monitor it, or let the class inherit supervisors.Process."


class LocalLinks:
    """The transport of one event loop. The end of a child is seen where it happens, after its name was given up."""

    _all: WeakKeyDictionary[asyncio.AbstractEventLoop, LocalLinks] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._watches: dict[tuple[Address, Address], Callable[[], None]] = {}

    @classmethod
    def here(cls) -> LocalLinks:
        """That of the running loop."""
        return cls._all.setdefault(asyncio.get_running_loop(), cls())

    @property
    def watches(self) -> int:
        """How many ends are looked out for."""
        return len(self._watches)

    def send(self, sender: Endpoint, to: Address, signal: sig.Signal) -> None:
        """Deliver it when what was sent before has been delivered. Monitors need no signals here: watching is all."""
        if not isinstance(signal, sig.Monitor | sig.Demonitor):
            asyncio.get_running_loop().call_soon(self._deliver, sender.address, to, signal)

    def watch(self, watcher: Endpoint, peer: Address) -> None:
        """Watch the child."""
        soon = asyncio.get_running_loop().call_soon

        def ended(reason: Exit) -> None:
            soon(watcher.gone, peer, reason)

        root = _root(peer)
        if root is not None:
            root.watchers.append(ended)
            self._watches[watcher.address, peer] = lambda: root.watchers.remove(ended)
        else:
            self._watches[watcher.address, peer] = local_ref(peer.name).watch(ended)

    def unwatch(self, watcher: Endpoint, peer: Address) -> None:
        """Watch it no longer."""
        self._watches.pop((watcher.address, peer))()

    async def wait_watching(self, peer: Address) -> None:
        """It is."""

    async def find(self, other: Any, *, process: bool) -> Address:
        """See `Transport`."""
        address = address_of(other)
        child = LocalNode.here().children.get(address.name)
        linkable = child is None or child.object is None or isinstance(child.object, Process)
        if process and (not linkable or _root(address) is not None):
            raise NotAProcess(repr(str(address)), _LINKABLE)
        return address

    def when_sent(self, sender: Endpoint, then: Callable[[], None]) -> None:
        """After what waits now."""
        asyncio.get_running_loop().call_soon(then)

    def _deliver(self, sender: Address, to: Address, signal: sig.Signal) -> None:
        child = LocalNode.here().children.get(to.name)
        process = child.object if child is not None else None
        if isinstance(process, Process) and process._life is not None:
            process._life.links().arrived(sender, signal)


def connect(process: Process, name: str) -> Endpoint:
    """A child's end of its links, by its incarnation's name. Its last words are sent when it has left."""
    begun = process._life is not None and process._life.begun
    ref = local_ref(name)
    endpoint = Endpoint(address_of(ref), process, LocalLinks.here(), ref.exit, opened=begun)
    ref.watch(lambda reason: endpoint.over(reason, _nothing))
    return endpoint


def outside(owner: Owner) -> Endpoint:
    """An end for someone who is no child and only watches."""
    return Endpoint(Address(incarnation("outside"), "", LOCAL), owner, LocalLinks.here(), _outlives)


def address_of(other: Any) -> Address:  # whatever names a child
    """The address of a child, by its `Child`, its `LocalRef`, itself if it is a `Process`, or its address.

    Raises:
        NotAProcess: It is none of these.
    """
    match other:
        case Address():
            return other
        case Child():
            return Address(other.name, other.namespace, LOCAL)
        case LocalRef():
            child = LocalNode.here().children.get(other.name)
            return _living(child) if child is not None else Address(other.name, "", LOCAL)
        case Process():
            return other._links().address
        case _:
            raise NotAProcess(repr(other), _NAMEABLE)


def _root(address: Address) -> Any | None:  # the way to a supervisor, in a module above this one
    """The supervisor of that address, if nobody supervises it and it is not over."""
    root = LocalNode.here().roots.get((address.namespace, address.name))
    return root if root is not None and root.address == address else None


def _living(child: LocalChild) -> Address:
    return Address(child.name, child.host.namespace, LOCAL)


def _outlives(reason: Exit) -> None:
    """Nobody can link with it, so no signal comes."""


def _nothing() -> None:
    pass
