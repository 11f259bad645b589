"""Registries and groups of a Ray cluster: the keeper's actor, and the copy of its books that each process holds.

One supervised actor holds the truth and writes it to Ray's internal key-value store, rather than asking the living to
register again after its crash: a name then never looks free while its holder has not been heard of, plain actors that
know nothing of registries keep theirs, and the next life is ready after one read.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

import ray
from ray import cloudpickle
from ray.exceptions import RayActorError, RayError

from supervisors.address import Address
from supervisors.child import Child
from supervisors.entries import Died, Event, Holder, Operation
from supervisors.errors import BadSpec, ChildGone, RegistryDown, StaleEpoch, UnknownMethod
from supervisors.exits import Exit
from supervisors.keeper import on_release
from supervisors.process import Process
from supervisors.ray_memory import _NAMESPACE as SHELF
from supervisors.ray_memory import RayShelf
from supervisors.ray_nodes import node_watch
from supervisors.ray_watch import DeathFeed, find_actor, is_alive, is_dead, record_of
from supervisors.registry_copy import Copy
from supervisors.registry_core import Directory
from supervisors.registry_journal import Journal, latest
from supervisors.registry_server import Batch, RegistryServer, Version
from supervisors.sealed import sealed, unsealed
from supervisors.spec import ChildSpec

log = logging.getLogger(__name__)

_CALLERS: Final = 10_000
_READ_S: Final = 5.0
_RETRY_S: Final = (0.01, 0.5)
_INCARNATION: Final = re.compile(r"#[0-9a-f]{24}$")  # what `incarnation` adds to a path


def keeper_spec(home: str, **options: Any) -> ChildSpec:
    """See `supervisors.registry.keeper_spec`."""
    resources = {"num_cpus": 0, "max_concurrency": _CALLERS} | dict(options.pop("options", {}))
    return ChildSpec(home, start=RegistryActor, args=(home,), options=resources, **options)


class RegistryActor:
    """The keeper's process. What survives a crash of it: everything; see `RegistryServer` and `Journal`.

    It watches the other nodes by itself: who was on a lost one holds nothing as soon as the loss is known, which is
    long before Ray would tell.
    """

    def __init__(self, home: str) -> None:
        self._home = home
        self._feed = DeathFeed()
        self._nodes = node_watch(lost=self._node_lost, back=self._node_back)
        loop = asyncio.get_running_loop()
        self._server: asyncio.Future[RegistryServer] = loop.create_future()
        self._task = loop.create_task(self._run())

    async def apply(self, operations: Sequence[Operation]) -> tuple[Version, list[Any]]:
        """See `RegistryServer.apply`."""
        return await (await asyncio.shield(self._server)).apply(operations)

    async def follow(self, since: Version) -> Batch:
        """See `RegistryServer.follow`."""
        return await (await asyncio.shield(self._server)).follow(since)

    async def current(self) -> Version:
        """See `RegistryServer.current`."""
        return await (await asyncio.shield(self._server)).current()

    async def node_lost(self, node: str) -> None:
        """Whoever finds out first that a node is lost may say so."""
        (await asyncio.shield(self._server)).node_lost(node)

    async def wait_heard(self, timeout_s: float) -> frozenset[str]:
        """See `NodeWatch.wait_heard`: only the loss of a node that was heard is known at once."""
        await asyncio.shield(self._server)
        return await self._nodes.wait_heard(timeout_s)

    async def terminate(self, reason: str) -> None:
        """Send those who wait away; the books stay where the next life reads them."""
        self._task.cancel()
        await asyncio.wait({self._task})
        if self._server.done():
            await self._nodes.close()
        await self._feed.close()

    def _node_lost(self, node: str) -> None:
        self._server.result().node_lost(node)

    def _node_back(self, node: str) -> None:
        # Who was there is fenced; who starts there from now on is as good as any.
        self._nodes.readmit(node)

    async def _run(self) -> None:
        try:
            await self._feed.open()
            # The runtime context knows the namespace of the job, the record that of the actor.
            me = await record_of(ray.get_runtime_context().get_actor_id() or "")
            journal = Journal(RayShelf(), me.ray_namespace, self._home, me.name)  # type: ignore[union-attr]
            server = RegistryServer(journal, _Living(self._feed))
            self._server.set_result(server)
            await self._nodes.open()
            await server.run()
        except Exception:
            # The next life reads what is written; this one must not answer from what it believes.
            log.exception("the registry %r ends", self._home)
            os._exit(1)


class _ReadingShelf(RayShelf):
    """Reads in a thread: a caller may give up at any time, and a cancelled future of Ray's client fails within Ray."""

    async def get(self, key: str) -> bytes | None:
        """See `Shelf`."""
        value: bytes | None = await asyncio.to_thread(_control_store().internal_kv_get, key.encode(), SHELF, _READ_S)
        return value

    async def keys(self, prefix: str) -> list[str]:
        """See `Shelf`."""
        found = await asyncio.to_thread(_control_store().internal_kv_keys, prefix.encode(), SHELF, _READ_S)
        return [key.decode() for key in found]


def _control_store() -> Any:  # Ray's client, which has no types
    return ray._private.worker.global_worker.gcs_client  # type: ignore[attr-defined]


class _Living:
    """What Ray says of those who hold entries."""

    def __init__(self, feed: DeathFeed) -> None:
        self._feed = feed
        self._told: dict[str, list[Callable[[], None]]] = {}

    async def alive(self, who: Holder, died: Callable[[], None]) -> bool:
        """See `Watch`: watches first, then looks."""
        actor_id: str = who.address.incarnation
        if actor_id not in self._told:
            self._told[actor_id] = []
            self._feed.watch(ray.ActorID(bytes.fromhex(actor_id)), lambda _: self._dead(actor_id))
        told = self._told[actor_id]
        told.append(died)
        record = await record_of(actor_id)
        if is_alive(record) and _epoch(record) == who.epoch:
            return True
        if died in told:
            told.remove(died)
        return False

    async def is_over(self, who: Holder) -> bool:
        """See `Watch`."""
        return is_dead(await record_of(who.address.incarnation))

    def _dead(self, actor_id: str) -> None:
        for died in self._told.pop(actor_id, []):
            died()


def _epoch(record: Any) -> int:  # a protobuf message, whose classes have no types
    """Ray's control store stamps each start with its own one clock; lives that Ray itself restarts are counted."""
    epoch: int = record.start_time << 16 | record.num_restarts
    return epoch


def _holder(actor_id: str, record: Any) -> Holder:
    base = _INCARNATION.sub("", record.name)
    address = Address(record.name, record.ray_namespace, actor_id)
    return Holder(f"{record.ray_namespace}/{base}", _epoch(record), record.address.node_id.hex(), address)


class RayKeeper:
    """A process's way to the keeper, and its copy of the books.

    Changes of one loop turn travel together; they are repeated until the keeper, or its next life, has answered. Each
    entry has an id of its own, so a repeated one is entered once.
    """

    def __init__(self, home: str, namespace: str) -> None:
        self._home, self._namespace = home, namespace
        self._shelf = _ReadingShelf()
        self._copy = Copy()
        self._node: str = ray.get_runtime_context().get_node_id()
        self._me: Holder | None = None
        self._actor: tuple[int, Any] | None = None
        self._handles: dict[str, Any] = {}
        self._trouble = ""
        self._token, self._numbers = secrets.token_hex(8), count(1)
        self._outbox: list[tuple[Operation, asyncio.Future[tuple[Version, Any]]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._ends: set[asyncio.Task[Any]] = set()
        on_release(self._release)
        self._following = asyncio.get_running_loop().create_task(self._follow())

    @property
    def directory(self) -> Directory:
        """The copy."""
        return self._copy.directory

    @property
    def node(self) -> str:
        """Ray's id of it."""
        return self._node

    def new_id(self) -> str:
        """Chance and a number."""
        return f"{self._token}-{next(self._numbers)}"

    def listen(self, tell: Callable[[Event], None]) -> Callable[[], None]:
        """See `Keeper`."""
        return self._copy.listen(tell)

    async def ready(self, timeout_s: float) -> None:
        """Wait for the first copy."""
        await self._within(self._copy.reached((1, 0)), timeout_s)

    async def sync(self, timeout_s: float) -> None:
        """See `Keeper`."""
        await self._within(self._sync(), timeout_s)

    async def ask(self, operation: Operation, timeout_s: float) -> Any:
        """See `Keeper`."""
        return await self._within(self._ask(sealed(operation, cloudpickle.dumps)), timeout_s)

    async def holder(self, who: Any) -> Holder:  # a Child, a handle, an Address, or None
        """A named actor as the books name it.

        Raises:
            BadSpec: It is none, or has no name.
            StaleEpoch: It is over.
        """
        if isinstance(who, Holder):
            return who
        if who is not None and not isinstance(who, Process):
            return await _holder_of(_actor_id(who))
        if self._me is None:
            self._me = await _holder_of(ray.get_runtime_context().get_actor_id())
        return self._me

    async def call(self, who: Holder, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a method of an actor."""
        function = getattr(self._handle(who.address), method, None)
        if function is None:
            raise UnknownMethod(who.address.name, method)
        try:
            return await function.remote(*args, **kwargs)
        except RayActorError as error:
            self._handles.pop(who.address.incarnation, None)
            raise ChildGone(who.address.name, Exit("noproc", type(error).__name__)) from error

    def _release(self, incarnation: str) -> None:
        """Here it is over, and the keeper is told before anything that this process asks for from now on."""
        over = {who for who in self._copy.directory.holders() if who.address.incarnation == incarnation}
        self._copy.release(over.__contains__)
        for who in over:
            told = asyncio.get_running_loop().create_task(self._ask(Died(who)))
            self._ends.add(told)
            told.add_done_callback(self._ends.discard)

    def _handle(self, address: Address) -> Any:
        handle = self._handles.get(address.incarnation) or find_actor(address.name, address.namespace)
        if handle is None or handle._actor_id.hex() != address.incarnation:
            raise ChildGone(address.name, Exit("noproc"))
        self._handles[address.incarnation] = handle
        return handle

    async def _within(self, work: Any, timeout_s: float) -> Any:  # a coroutine of any answer
        try:
            async with asyncio.timeout(timeout_s):
                return await work
        except TimeoutError:
            if self._following.done():
                self._following.result()
            why = f"waited {timeout_s:g} s; a change may still be made; {self._trouble}"
            raise RegistryDown(self._home, why) from None

    async def _ask(self, operation: Operation) -> Any:
        asked: asyncio.Future[tuple[Version, Any]] = asyncio.get_running_loop().create_future()
        self._outbox.append((operation, asked))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send())
        version, answer = await asyncio.shield(asked)
        await self._copy.reached(version)
        return answer

    async def _send(self) -> None:
        while self._outbox:
            batch, self._outbox = self._outbox, []
            version, answers = await self._keeper("apply", [operation for operation, _ in batch])
            for (_, asked), answer in zip(batch, answers, strict=True):
                if not asked.done():
                    asked.set_result((version, answer))

    async def _sync(self) -> None:
        await self._copy.reached(await self._keeper("current"))

    async def _follow(self) -> None:
        while True:
            batch: Batch = await self._keeper("follow", self._copy.version)
            if batch.version == self._copy.version and not batch.changes:
                await self._look_for_a_later_life()
            elif batch.version[0] >= self._copy.version[0]:
                self._copy.take(replace(batch, changes=tuple(unsealed(c, cloudpickle.loads) for c in batch.changes)))

    async def _keeper(self, method: str, *args: Any) -> Any:
        """The keeper's answer, or that of its next life."""
        wait_s, longest_s = _RETRY_S
        while True:
            actor = self._actor
            try:
                actor = self._actor = actor or await self._find()
                return await getattr(actor[1], method).remote(*args)
            except (RayError, RegistryDown) as error:
                self._trouble = str(error)
                self._actor = None if self._actor is actor else self._actor
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, longest_s)

    async def _find(self) -> tuple[int, Any]:
        found = await latest(self._shelf, self._namespace, self._home)
        handle = find_actor(found[1], self._namespace) if found else None
        if found is None or handle is None:
            raise RegistryDown(self._home)
        return found[0], handle

    async def _look_for_a_later_life(self) -> None:
        found = await latest(self._shelf, self._namespace, self._home)
        if found and self._actor and found[0] != self._actor[0]:
            self._actor = None


def _actor_id(who: Any) -> str | None:
    match who:
        case Child():
            handle = find_actor(who.name, who.namespace)
            if handle is None:
                raise StaleEpoch(who.name, 0, 1)
            return str(handle._actor_id.hex())
        case Address():
            return who.incarnation
        case _ if hasattr(who, "_actor_id"):
            return str(who._actor_id.hex())
        case _:
            raise BadSpec(f"who={who!r} is not accepted; give a Child, an actor's handle, or None within an actor.")


async def _holder_of(actor_id: str | None) -> Holder:
    if actor_id is None:
        raise BadSpec("This process is no actor; say with who=… which actor is meant.")
    while not is_alive(record := await asyncio.shield(record_of(actor_id))):
        if is_dead(record):
            raise StaleEpoch(actor_id, 0, 1)
        await asyncio.sleep(_RETRY_S[0])  # its constructor has not returned yet
    if not record.name:  # type: ignore[union-attr]
        raise BadSpec("Only actors with a name can be registered; start it under a supervisor, or with a name.")
    return _holder(actor_id, record)


_keepers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str, str], RayKeeper]] = WeakKeyDictionary()


async def find(home: str, namespace: str, timeout_s: float) -> RayKeeper:
    """The one of this event loop. Raises RegistryDown if no keeper answers in time."""
    here = _keepers.setdefault(asyncio.get_running_loop(), {})
    at = (ray.get_runtime_context().gcs_address, namespace, home)
    if at not in here:
        here[at] = RayKeeper(home, namespace)
    await here[at].ready(timeout_s)
    return here[at]


async def release_myself(timeout_s: float) -> None:
    """This actor ends: its names are free when this returns. To be called before its links are told.

    Raises:
        RegistryDown: A keeper did not answer; it will see the end by itself.
    """
    for keeper in list(_keepers.get(asyncio.get_running_loop(), {}).values()):
        if keeper._me is not None:
            await keeper.ask(Died(keeper._me), timeout_s)
