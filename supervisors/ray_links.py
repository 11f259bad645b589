"""Links and monitors between Ray actors, in whatever process and node they are.

Signals are actor calls: one call at a time from one process to another, which carries all that waits, so their order
holds; a call that may or may not have arrived is made again, and its number keeps it from counting twice. Who dies
without a word is seen in Ray's feed of deaths. An actor that Ray itself restarts counts as one process, until Ray gives
it up. What is held of a peer does not keep it alive.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError, RayActorError

from supervisors import keeper, ray_registry
from supervisors import signals as sig
from supervisors.address import Address
from supervisors.child import Child
from supervisors.endpoint import Endpoint, Owner
from supervisors.errors import NotAProcess, NotStarted, RegistryDown
from supervisors.exits import Exit
from supervisors.incarnation import incarnation
from supervisors.links import NOPROC
from supervisors.process import LINGER_S, Life, Process
from supervisors.ray_watch import DeathFeed, actor_record, exit_of, find_actor, is_dead

_NAMEABLE: Final = "Name it by its Child, Address or Ray actor handle."
_LINKABLE: Final = (
    "It is no actor of a class that inherits supervisors.Process: monitor it, or let its class inherit it."
)
_AGAIN_S: Final = 0.1
_SENDERS: Final = 4096  # whose last letter is remembered


@dataclass(frozen=True, slots=True)
class Letter:
    """Signals of one process to another, with the way to answer; `number` grows from letter to letter."""

    sender: Address
    handle: Any  # Ray's
    number: int
    signals: tuple[sig.Signal, ...]


@dataclass(slots=True, eq=False)
class _Peer:
    """Another process: how to reach it, what waits for it, who waits for its end."""

    handle: Any | None
    box: deque[sig.Signal] = field(default_factory=deque)
    watchers: dict[Endpoint, None] = field(default_factory=dict)
    posting: asyncio.Task[None] | None = None
    watching: asyncio.Task[None] | None = None
    asking: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        return not (self.watchers or self.box or self.posting)


class RayLinks:
    """The transport of one event loop: for the actor that lives there, or (`actor` false) for those who only watch."""

    _all: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bool, RayLinks]] = WeakKeyDictionary()

    def __init__(self, actor: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._peers: dict[Address, _Peer] = {}
        self._read: dict[Address, int] = {}  # the last letter of each sender, latest senders last
        self._tasks: set[asyncio.Task[None]] = set()
        self._feed: DeathFeed | None = None
        self._opening: asyncio.Task[None] | None = None
        self._last_word: asyncio.Future[Exit] = self._loop.create_future()
        self._handle: Any = weak(ray.get_runtime_context().current_actor) if actor else None

    @classmethod
    def here(cls, *, actor: bool) -> RayLinks:
        """That of the running loop."""
        both = cls._all.setdefault(asyncio.get_running_loop(), {})
        if actor not in both:
            both[actor] = cls(actor)
        return both[actor]

    def send(self, sender: Endpoint, to: Address, signal: sig.Signal) -> None:
        """Put it into the next letter to that process."""
        peer = self._peers.get(to)
        if peer is not None and self._takes_signals(peer):
            peer.box.append(signal)
            if peer.posting is None:
                peer.posting = self._spawn(self._post(sender.address, to, peer))

    def watch(self, watcher: Endpoint, peer: Address) -> None:
        """Look into the feed from now on, and once at what Ray knows."""
        known = self._peers.setdefault(peer, _Peer(None))
        known.watchers[watcher] = None
        if known.watching is None:
            known.watching = self._spawn(self._look_out(peer, known))

    def unwatch(self, watcher: Endpoint, peer: Address) -> None:
        """Forget the peer when nobody else watches it."""
        known = self._peers[peer]
        known.watchers.pop(watcher, None)
        if not known.watchers:
            for task in (known.watching, known.asking):
                if task is not None and task is not asyncio.current_task():
                    task.cancel()
            known.watching = known.asking = None
            if self._feed is not None and peer.incarnation:
                self._feed.forget(_actor_id(peer))
        self._forget_if_idle(peer)

    async def wait_watching(self, peer: Address) -> None:
        """See `Transport`."""
        known = self._peers.get(peer)
        if known is not None and known.watching is not None:
            task = known.watching
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    async def find(self, other: Any, *, process: bool) -> Address:
        """See `Transport`."""
        if isinstance(other, Process):
            return other._links().address
        address, handle = await _located(other)
        peer = self._peers.setdefault(address, _Peer(handle))
        peer.handle = peer.handle or handle
        self._loop.call_soon(self._forget_if_idle, address)
        if process and handle is not None and not self._takes_signals(peer):
            raise NotAProcess(repr(str(address)), _LINKABLE)
        return address

    def when_sent(self, sender: Endpoint, then: Callable[[], None]) -> None:
        """When all letters have been read, or after a second."""
        self._spawn(self._when_sent(then))

    def take(self, letter: Letter) -> bool:
        """Learn how to answer. Whether the letter is new."""
        peer = self._peers.setdefault(letter.sender, _Peer(letter.handle))
        peer.handle = peer.handle or letter.handle
        self._loop.call_soon(self._forget_if_idle, letter.sender)
        last = self._read.pop(letter.sender, 0)
        self._read[letter.sender] = max(last, letter.number)
        if len(self._read) > _SENDERS:
            del self._read[next(iter(self._read))]
        return letter.number > last

    async def last_word(self) -> Exit:
        """See `last_word` below."""
        return await asyncio.shield(self._last_word)

    def take_leave(self, life: Life, reason: Exit, then: Callable[[], None]) -> None:
        """See `last_words`."""
        self._spawn(self._take_leave(life, reason, then))

    async def _take_leave(self, life: Life, reason: Exit, then: Callable[[], None]) -> None:
        # A keeper that does not answer sees the end by itself.
        with contextlib.suppress(RegistryDown):
            await ray_registry.release_myself(LINGER_S)
        if not self._last_word.done():
            self._last_word.set_result(reason)
        # Who hears of it next may kill. A call to oneself comes back when the answers before it are on their way.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self._handle.supervised_last_word.remote()
        if life.endpoint is None:
            then()
        else:
            life.endpoint.over(reason, then)

    def _takes_signals(self, peer: _Peer) -> bool:
        return self._handle is not None and peer.handle is not None and hasattr(peer.handle, "supervised_signals")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _forget_if_idle(self, address: Address) -> None:
        peer = self._peers.get(address)
        if peer is not None and peer.idle:
            del self._peers[address]

    async def _post(self, sender: Address, to: Address, peer: _Peer) -> None:
        try:
            while peer.box:
                letter = Letter(sender, self._handle, next(self._numbers), tuple(peer.box))
                peer.box.clear()
                await self._carry(letter, peer)
        finally:
            peer.posting = None
            peer.box.clear()
            self._forget_if_idle(to)

    async def _carry(self, letter: Letter, peer: _Peer) -> None:
        while peer.handle is not None:
            try:
                return await peer.handle.supervised_signals.remote(letter)  # type: ignore[no-any-return]
            except (ActorUnavailableError, NotStarted):
                await asyncio.sleep(_AGAIN_S)
            except RayActorError:
                return None  # the feed tells those who watch
        return None

    async def _when_sent(self, then: Callable[[], None]) -> None:
        posting = {peer.posting for peer in self._peers.values() if peer.posting is not None}
        if posting:
            await asyncio.wait(posting, timeout=LINGER_S)
        then()

    async def _look_out(self, address: Address, peer: _Peer) -> None:
        if peer.handle is None:
            return self._gone(address, NOPROC)
        feed = await self._opened()
        feed.watch(_actor_id(address), lambda cause: self._died(address, peer, cause))
        self._ask(address, peer)
        record = await actor_record(_actor_id(address))
        if is_dead(record):
            self._died(address, peer, NOPROC if record is None else exit_of(record))
        return None

    def _ask(self, address: Address, peer: _Peer) -> None:
        """Those to whom no signals go are asked for their last word, if they have one."""
        if not self._takes_signals(peer):
            asks = [name for name in ("supervised_last_word", "wait_exit") if hasattr(peer.handle, name)]
            if asks:
                peer.asking = self._spawn(self._hear(address, getattr(peer.handle, asks[0])))

    async def _hear(self, address: Address, ask: Any) -> None:  # a method of a Ray handle
        try:
            # One that Ray runs again is asked again, before anything else can end it.
            reason: Exit = await ask.options(max_task_retries=-1).remote()
        except RayActorError:
            return  # the feed tells
        self._gone(address, reason)

    def _died(self, address: Address, peer: _Peer, cause: Exit) -> None:
        self._spawn(self._died_after_its_last_word(address, peer, cause))

    async def _died_after_its_last_word(self, address: Address, peer: _Peer, cause: Exit) -> None:
        if peer.asking is not None:
            await asyncio.wait({peer.asking}, timeout=LINGER_S)
        self._gone(address, Exit("noconnection", cause.detail) if cause.kind == "node_lost" else cause)

    def _gone(self, address: Address, reason: Exit) -> None:
        peer = self._peers.get(address)
        keeper.release(address.incarnation)
        for watcher in list(peer.watchers) if peer is not None else ():
            watcher.gone(address, reason)

    async def _opened(self) -> DeathFeed:
        if self._feed is None:
            self._feed = DeathFeed()
            self._opening = self._spawn(self._feed.open())
        assert self._opening is not None
        await asyncio.shield(self._opening)
        return self._feed


def connect(process: Process) -> Endpoint:
    """An actor's end of its links."""
    life = process._life
    assert life is not None
    context = ray.get_runtime_context()
    me = Address(context.get_actor_name() or "", context.namespace, context.get_actor_id() or "")
    endpoint = Endpoint(me, process, RayLinks.here(actor=True), life.end, opened=life.begun)
    if life.is_over and life.reason is not None:
        endpoint.over(life.reason, lambda: None)
    return endpoint


def last_words(life: Life, reason: Exit, then: Callable[[], None]) -> None:
    """An actor's process is over: its names are released, then links and monitors are told, then `then` is called."""
    RayLinks.here(actor=True).take_leave(life, reason, then)


async def last_word() -> Exit:
    """Wait for the end of the actor that this runs in: for those outside, to whom no letters go."""
    return await RayLinks.here(actor=True).last_word()


async def outside(owner: Owner) -> Endpoint:
    """An end for someone who is no actor of ours and only watches."""
    me = Address(incarnation("outside"), "", "")
    return Endpoint(me, owner, RayLinks.here(actor=False), lambda _: None)


async def receive(process: Process, letter: Letter) -> None:
    """A letter has come.

    Raises:
        NotStarted: Before the process has; the sender tries again.
    """
    if process._life is None:
        raise NotStarted(type(process).__name__)
    endpoint = process._life.links()
    if RayLinks.here(actor=True).take(letter):
        for signal in letter.signals:
            if isinstance(signal, sig.LinkExit | sig.DownSignal):
                keeper.release(letter.sender.incarnation)
            endpoint.arrived(letter.sender, signal)


def weak(handle: Any) -> Any:
    """A handle of the same actor that does not keep it alive."""
    state = handle._serialization_helper()[0]
    return ActorHandle._deserialization_helper(state, True, None)


async def _located(other: Any) -> tuple[Address, Any | None]:
    """An address, and the handle if there is a living actor."""
    match other:
        case ActorHandle():
            return await _record_of(other)
        case Child() | Address():
            handle = await asyncio.to_thread(find_actor, other.name, other.namespace) if other.name else None
            address, handle = await _record_of(handle) if handle is not None else (None, None)
            return _as_named(other, address, handle)
        case _:
            raise NotAProcess(repr(other), _NAMEABLE)


def _as_named(other: Child | Address, address: Address | None, handle: Any | None) -> tuple[Address, Any | None]:
    """What was found under the name, if that is the incarnation that was meant."""
    if isinstance(other, Child):
        return address or Address(other.name, other.namespace, ""), handle
    return other, handle if address == other else None


async def _record_of(handle: Any) -> tuple[Address, Any | None]:
    record = await actor_record(handle._actor_id)
    if record is None:
        return Address("", "", handle._actor_id.hex()), None
    address = Address(record.name, record.ray_namespace, handle._actor_id.hex())
    return address, None if is_dead(record) else weak(handle)


def _actor_id(address: Address) -> Any:  # Ray's class has no types
    return ray.ActorID(bytes.fromhex(address.incarnation))
