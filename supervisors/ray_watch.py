"""What Ray knows of actors: a live feed of deaths with their causes, and whether a process is really gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import ray
from ray._private.gcs_pubsub import GcsAioActorSubscriber
from ray._private.state import available_resources_per_node
from ray.core.generated import gcs_pb2

from supervisors.exits import KILLED, Exit
from supervisors.spread import Node

_ALIVE: int = gcs_pb2.ActorTableData.ALIVE  # type: ignore[attr-defined]
_DEAD: int = gcs_pb2.ActorTableData.DEAD  # type: ignore[attr-defined]
_QUIET_S = 5.0
_LINGER_S = 1.0


def exit_of(record: Any) -> Exit:  # a protobuf message, whose classes have no types
    """Ray's death cause as an exit reason. SIGKILL and a hard exit look the same to Ray: both are `killed`."""
    cause = record.death_cause
    match cause.WhichOneof("context"):
        case "actor_died_error_context":
            return _exit_of_died(cause.actor_died_error_context)
        case "creation_task_failure_context":
            text = cause.creation_task_failure_context.formatted_exception_string.strip()
            return Exit("init_failed", text.rpartition("\n")[2])
        case "runtime_env_failed_context":
            return Exit("init_failed", cause.runtime_env_failed_context.error_message)
        case "actor_unschedulable_context":
            return Exit("init_failed", cause.actor_unschedulable_context.error_message)
        case "oom_context":
            return Exit("killed", "out of memory")
        case _:
            return Exit("crash", "Ray gives no cause")


def _exit_of_died(context: Any) -> Exit:
    reason = type(context).Reason.Name(context.reason)
    message: str = context.error_message
    if reason == "NODE_DIED":
        return Exit("node_lost", context.node_ip_address)
    if reason in ("RAY_KILL", "OUT_OF_SCOPE", "REF_DELETED"):
        return KILLED
    if reason == "OWNER_DIED":
        return Exit("killed", "its owner died")
    if "INTENDED_" in message:
        return Exit("normal")
    if "connection error code" in message:
        return KILLED
    return Exit("crash", message.partition("Worker exit detail: ")[2] or message)


async def actor_record(actor_id: Any) -> Any | None:
    """Ray's record of an actor, None if it has forgotten it."""
    client = ray._private.worker.global_worker.gcs_client  # type: ignore[attr-defined]
    records = await client.async_get_all_actor_info(actor_id=actor_id, timeout=10)
    return records.get(actor_id)


async def wait_dead(actor_id: Any) -> None:
    """Wait until Ray counts an actor as dead."""
    while True:
        record = await actor_record(actor_id)
        if is_dead(record):
            return
        await asyncio.sleep(0.01)


def is_alive(record: Any) -> bool:
    """Whether Ray's record is that of an actor whose `__init__` has returned and that has not ended."""
    return record is not None and record.state == _ALIVE


def is_dead(record: Any) -> bool:
    """Whether it is over for good."""
    return record is None or record.state == _DEAD


def find_actor(name: str, namespace: str) -> Any | None:
    """The handle of a named actor, if there is one; it may be dying."""
    try:
        return ray.get_actor(name, namespace=namespace)
    except ValueError:
        return None


async def end_actor(handle: Any) -> None:
    """Kill an actor and see its process gone, if it runs on this node."""
    record = await actor_record(handle._actor_id)
    here = record is not None and record.address.node_id.hex() == ray.get_runtime_context().get_node_id()
    process = Process(record.pid if record is not None else 0, here=here)
    ray.kill(handle, no_restart=True)
    await wait_dead(handle._actor_id)
    await process.wait_gone()


async def record_of(actor_id: str) -> Any | None:
    """Ray's record of an actor that may be gone, by its id in hex."""
    return await actor_record(ray.ActorID(bytes.fromhex(actor_id)))


def living_nodes() -> list[Node]:
    """The nodes that Ray counts as alive, with what is free on them as far as Ray knows now."""
    table = ray.nodes()  # type: ignore[no-untyped-call]
    free = available_resources_per_node()  # type: ignore[no-untyped-call]
    return [Node(row["NodeID"], row["Labels"], free.get(row["NodeID"], {})) for row in table if row["Alive"]]


class DeathFeed:
    """Tells of each watched actor once that it is dead: 10 to 18 ms after a SIGKILL, 3 ms after `ray.kill`.

    Subscribes first, then looks; looks again whenever the feed was quiet or broken, so nothing is missed for ever.
    """

    def __init__(self) -> None:
        self._watched: dict[bytes, tuple[Any, Callable[[Exit], None]]] = {}
        self._subscriber: Any = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Subscribe."""
        await self._subscribe()
        self._task = asyncio.get_running_loop().create_task(self._feed())

    def watch(self, actor_id: Any, dead: Callable[[Exit], None]) -> None:
        """Call `dead` once, when the actor is."""
        self._watched[actor_id.binary()] = (actor_id, dead)

    def forget(self, actor_id: Any) -> None:
        """Watch it no longer; nothing if it was not watched."""
        self._watched.pop(actor_id.binary(), None)

    async def close(self) -> None:
        """Unsubscribe."""
        self._closed = True
        if self._task is not None:
            await self._subscriber.close()
            await self._task

    async def _subscribe(self) -> None:
        self._subscriber = GcsAioActorSubscriber(address=ray.get_runtime_context().gcs_address)
        await self._subscriber.subscribe()

    async def _feed(self) -> None:
        while not self._closed:
            try:
                began = time.monotonic()
                batch = await self._subscriber.poll(batch_size=500, timeout=_QUIET_S)
                if not batch and not self._closed and time.monotonic() - began < _QUIET_S / 2:
                    raise ConnectionError("nothing to tell, at once: so Ray says that its control store is away")
                for key, record in batch:
                    self._note(key, record)
                if not batch and not self._closed:
                    await self._look()
            except Exception:
                # Ray's control store is away or new: a subscription does not survive that.
                await asyncio.sleep(0.2)
                with contextlib.suppress(Exception):
                    await self._subscribe()
                    await self._look()

    async def _look(self) -> None:
        for key, (actor_id, _) in list(self._watched.items()):
            record = await actor_record(actor_id)
            if record is not None:
                self._note(key, record)

    def _note(self, key: bytes, record: Any) -> None:
        if record.state == _DEAD and key in self._watched:
            self._watched.pop(key)[1](exit_of(record))


class Process:
    """A process of this machine, held by a pidfd so that its number cannot be mistaken for another's.

    One that is not `here` cannot be held: Ray's word is all there is. Number 0 stands for an unknown one.
    """

    def __init__(self, pid: int, *, here: bool = True) -> None:
        self.pid = pid
        try:
            self._fd: int | None = os.pidfd_open(pid) if here and pid else None
        except (AttributeError, OSError):
            self._fd = None

    @property
    def is_known(self) -> bool:
        """Whether its number is."""
        return self.pid > 0

    async def wait_gone(self) -> None:
        """Wait until the process is gone, and help after a second."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        try:
            await asyncio.wait_for(_readable(fd), _LINGER_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            await _readable(fd)
        finally:
            os.close(fd)


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(fd, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(fd)
