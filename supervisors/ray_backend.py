"""Children as Ray actors: all Ray calls on child actors are made here.

A child is owned by its supervisor's process and not detached: Ray ends it within some 30 ms of the supervisor's death,
which is the link. Ray itself never restarts a child.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any

import ray
from ray.actor import ActorClass
from ray.exceptions import RayActorError, RayTaskError

from supervisors.backend import Report, TreeNode
from supervisors.child import Child
from supervisors.clock import Clock
from supervisors.errors import SupervisorError
from supervisors.exits import KILLED, SHUTDOWN, Exit
from supervisors.messages import Exited, Started, StartFailed
from supervisors.ray_watch import DeathFeed, Process, actor_record
from supervisors.spec import BRUTAL_KILL, INFINITY, ChildSpec, Shutdown, SupervisorSpec

_TREE_TIMEOUT_S = 1.0


def incarnation(base: str) -> str:
    """A name that was never used and never will be: the base, then time and chance; later ones sort later."""
    return f"{base}#{time.time_ns() // 1_000:014x}{secrets.token_hex(5)}"


async def within(awaitable: Any, timeout_s: float | None) -> Any:  # Ray's references are awaitable, not coroutines
    """Await it for so long.

    Raises:
        TimeoutError: It took longer.
    """
    async with asyncio.timeout(timeout_s):
        return await awaitable


class _Actor:
    """One incarnation: its Ray handle, and what has become of it."""

    def __init__(self, spec: ChildSpec, name: str, handle: Any) -> None:
        self.spec, self.name, self.handle = spec, name, handle
        self.dead: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.reason: Exit | None = None
        self.started = False

    def note_death(self, cause: Exit) -> None:
        """We know better than Ray why it died, if we ended it."""
        if not self.dead.done():
            self.dead.set_result(self.reason or cause)

    def kill(self, reason: Exit) -> None:
        """End it; the first reason counts."""
        self.reason = self.reason or reason
        ray.kill(self.handle)


class RayBackend:
    """Runs children as actors of one namespace.

    Args:
        path: What children's names begin with: the supervisor's own path of ids.
        name: The supervisor's registered name.
        namespace: Where children are registered.
        supervisor_class: The actor class of nested supervisors; takes (spec, path, name, namespace).
        clock: For `started_at`.
    """

    def __init__(self, path: str, name: str, namespace: str, supervisor_class: type, clock: Clock) -> None:
        self._path, self._name, self._namespace = path, name, namespace
        self._supervisor_class = supervisor_class
        self._clock = clock
        self._feed = DeathFeed()
        self._actors: dict[tuple[str, int], _Actor] = {}
        self._classes: dict[type, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._node: str = ray.get_runtime_context().get_node_id()

    async def open(self, report: Callable[[Report], None]) -> None:
        """Subscribe to deaths."""
        self._report = report
        await self._feed.open()

    async def close(self) -> None:
        """Unsubscribe."""
        await self._feed.close()

    def whoami(self) -> TreeNode:
        """The supervisor's own process."""
        return {"pid": os.getpid(), "node": self._node, "name": self._name}

    def start(self, id: str, instance: int, spec: ChildSpec) -> None:  # noqa: A002
        """Create the actor; `_live` follows it to its end."""
        try:
            actor = self._create(spec)
        except Exception as error:
            failed = StartFailed(id, instance, Exit("init_failed", f"{type(error).__name__}: {error}"))
            asyncio.get_running_loop().call_soon(self._report, failed)
            return
        self._actors[id, instance] = actor
        self._feed.watch(actor.handle._actor_id, actor.note_death)
        self._spawn(self._live(id, instance, actor))

    def stop(self, id: str, instance: int, shutdown: Shutdown) -> None:  # noqa: A002
        """Ask and then kill, or kill."""
        actor = self._actors.get((id, instance))
        if actor is not None:
            self._spawn(self._stop(actor, shutdown))

    async def tree(self, id: str, instance: int) -> TreeNode | None:  # noqa: A002
        """Ask the nested supervisor."""
        actor = self._actors.get((id, instance))
        try:
            return await within(actor.handle.tree.remote(), _TREE_TIMEOUT_S) if actor else None
        except (TimeoutError, RayActorError):
            return None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _create(self, spec: ChildSpec) -> _Actor:
        path = spec.name or f"{self._path}/{spec.id}"
        name = incarnation(path)
        args, kwargs, options = spec.args, dict(spec.kwargs), dict(spec.options)
        if isinstance(spec.start, SupervisorSpec):
            args = (spec.start, path, name, self._namespace)
            options = {"num_cpus": 0, "max_concurrency": 1000} | options
        if spec.pass_name:
            kwargs["name"] = name
        cls = self._actor_class(spec.start)
        handle = cls.options(
            **options, name=name, namespace=self._namespace, lifetime="non_detached", max_restarts=0
        ).remote(*args, **kwargs)
        return _Actor(spec, name, handle)

    def _actor_class(self, start: Any) -> Any:
        if isinstance(start, ActorClass):
            return start
        cls = self._supervisor_class if isinstance(start, SupervisorSpec) else start
        if cls not in self._classes:
            self._classes[cls] = ray.remote(cls)
        return self._classes[cls]

    async def _live(self, id: str, instance: int, actor: _Actor) -> None:  # noqa: A002
        try:
            process = await self._started(id, instance, actor)
            if process is not None:
                reason = await actor.dead
                await process.wait_gone()
                self._report(Exited(id, instance, reason))
        finally:
            del self._actors[id, instance]

    async def _started(self, id: str, instance: int, actor: _Actor) -> Process | None:  # noqa: A002
        """The child's process, reported as started; None if it did not start, which is reported too."""
        try:
            problem = await self._init_problem(actor)
            record = None if problem else await actor_record(actor.handle._actor_id)
        except Exception as error:
            problem, record = Exit("init_failed", f"{type(error).__name__}: {error}"), None
        if record is None:
            actor.kill(problem or Exit("init_failed", "Ray has no record of it"))
            self._report(StartFailed(id, instance, await actor.dead))
            return None
        node = record.address.node_id.hex()
        process = Process(record.pid if node == self._node else 0)
        actor.started = True
        if actor.spec.is_supervisor:
            self._spawn(self._await_exit(actor))
        at = self._clock.now_rfc3339()
        self._report(Started(id, instance, Child(id, actor.name, self._namespace, record.pid, node, at)))
        return process

    async def _init_problem(self, actor: _Actor) -> Exit | None:
        timeout_s = actor.spec.start_timeout_or_none
        try:
            async with asyncio.timeout(timeout_s):
                await actor.handle.__ray_ready__.remote()
                if actor.spec.is_supervisor:
                    error: SupervisorError | None = await actor.handle.ready.remote()
                    return Exit("init_failed", str(error)) if error else None
        except TimeoutError:
            return Exit("init_failed", f"not started within {timeout_s:g} s")
        except RayActorError as error:
            return _init_error(error) or await actor.dead
        return None

    async def _await_exit(self, actor: _Actor) -> None:
        """A supervisor tells its parent why it goes; the kill spares the quarter of a second that leaving takes Ray."""
        try:
            reason: Exit = await actor.handle.wait_exit.remote()
        except RayActorError:
            return
        actor.kill(reason)

    async def _stop(self, actor: _Actor, shutdown: Shutdown) -> None:
        if shutdown == BRUTAL_KILL or not (actor.started or actor.spec.is_supervisor):
            actor.kill(KILLED)
        elif not hasattr(actor.handle, "terminate"):
            actor.kill(SHUTDOWN)
        else:
            actor.kill(await self._terminate(actor, None if shutdown == INFINITY else float(shutdown)))

    async def _terminate(self, actor: _Actor, timeout_s: float | None) -> Exit:
        try:
            await within(actor.handle.terminate.remote("shutdown"), timeout_s)
        except TimeoutError:
            return Exit("killed", f"terminate took longer than {timeout_s:g} s")
        except RayTaskError as error:
            return Exit("crash", f"terminate raised {type(error.cause).__name__}")
        except RayActorError:
            return SHUTDOWN
        return SHUTDOWN


def _init_error(error: RayActorError) -> Exit | None:
    """The exception of `__init__`, if that is what Ray reports."""
    cause = getattr(error.args[0], "cause", None) if error.args else None
    return Exit("init_failed", f"{type(cause).__name__}: {cause}") if cause is not None else None
