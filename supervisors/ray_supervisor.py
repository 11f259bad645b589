"""A supervisor as a Ray actor, and the way to reach one."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import ActorAlreadyExistsError, RayActorError

from supervisors.backend import TreeNode
from supervisors.clock import SystemClock
from supervisors.errors import AlreadyStarted, CallTimeout, SupervisorDown, SupervisorError
from supervisors.exits import Exit
from supervisors.messages import Leave, Request
from supervisors.ray_backend import RayBackend, incarnation, within
from supervisors.ray_watch import Process, wait_dead
from supervisors.server import Server
from supervisors.spec import SupervisorSpec


class SupervisorActor:
    """The process of a supervisor.

    What survives a crash of it: nothing here; its children die with it. A nested one is started again by its parent,
    a detached one by Ray, which runs `__init__` again.
    """

    def __init__(self, spec: SupervisorSpec, path: str, name: str, namespace: str, detached: bool = False) -> None:
        clock = SystemClock()
        self._detached = detached
        self._backend = RayBackend(path, name, namespace, SupervisorActor, clock)
        self._server = Server(spec, self._backend, clock)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def ready(self) -> SupervisorError | None:
        """Wait until the children have started; why they have not, otherwise."""
        return await self._server.ready()

    async def call(self, request: Request) -> Any:  # each request names its own answer
        """Serve a request."""
        return await self._server.call(request)

    async def tree(self) -> TreeNode:
        """This supervisor and all below it."""
        return await self._server.tree()

    async def whoami(self) -> TreeNode:
        """`pid`, `node` and `name` of this process."""
        return self._backend.whoami()

    async def terminate(self, reason: str) -> None:
        """Stop the children in reverse."""
        await self._server.stop(Exit("shutdown", "" if reason == "shutdown" else reason))

    async def wait_exit(self) -> Exit:
        """Wait until the supervisor is over: why."""
        return (await self._server.left()).reason

    async def leave(self) -> None:
        """End this process when the answers on their way have been sent."""
        ray.actor.exit_actor()  # type: ignore[no-untyped-call]

    async def _run(self) -> None:
        leave = await self._server.run()
        if self._detached and self._wants_another_life(leave):
            # Anything but a hard exit counts as intended, and Ray would not run the actor again.
            os._exit(1)
        ray.get_runtime_context().current_actor.leave.remote()

    def _wants_another_life(self, leave: Leave) -> bool:
        failed_again = leave.error is not None and ray.get_runtime_context().was_current_actor_reconstructed
        return leave.gave_up or failed_again


class RayLink:
    """The way to a supervisor actor."""

    def __init__(self, name: str, handle: Any) -> None:
        self._name, self._handle = name, handle

    @property
    def name(self) -> str:
        """The registered name."""
        return self._name

    async def call(self, request: Request, timeout_s: float | None) -> Any:
        """The answer to a request."""
        return await self._ask(self._handle.call.remote(request), timeout_s)

    async def tree(self, timeout_s: float | None) -> TreeNode:
        """What it supervises."""
        tree: TreeNode = await self._ask(self._handle.tree.remote(), timeout_s)
        return tree

    async def ready(self, timeout_s: float | None) -> None:
        """Wait until it has started; end it if it does not."""
        try:
            error = await self._ask(self._handle.ready.remote(), timeout_s)
        except CallTimeout:
            await self._kill(Process(0))
            raise
        if error is not None:
            await self._kill(Process(0))
            raise error

    async def stop(self, timeout_s: float | None) -> None:
        """Stop it gracefully and see its process gone."""
        process = Process(0)
        # One that does not answer may be on its way back: the kill ends that too.
        with contextlib.suppress(SupervisorDown):
            me = await self._ask(self._handle.whoami.remote(), timeout_s)
            process = Process(me["pid"] if me["node"] == ray.get_runtime_context().get_node_id() else 0)
            await self._ask(self._handle.terminate.remote("shutdown"), timeout_s)
        await self._kill(process)

    async def _ask(self, ref: Any, timeout_s: float | None) -> Any:
        try:
            return await within(ref, timeout_s)
        except TimeoutError:
            raise CallTimeout(self._name, timeout_s or 0.0) from None
        except RayActorError as error:
            raise SupervisorDown(self._name, type(error).__name__) from error

    async def _kill(self, process: Process) -> None:
        ray.kill(self._handle, no_restart=True)
        await wait_dead(self._handle._actor_id)
        await process.wait_gone()


async def start(
    spec: SupervisorSpec,
    *,
    name: str | None,
    namespace: str,
    detached: bool,
    options: Mapping[str, Any],
    timeout_s: float | None,
) -> RayLink:
    """Start a supervisor actor and wait for its children. See `Supervisor.start`."""
    registered = name or incarnation("supervisor")
    life = {"lifetime": "detached", "max_restarts": -1} if detached else {"lifetime": "non_detached", "max_restarts": 0}
    named = {"name": registered, "namespace": namespace, "num_cpus": 0, "max_concurrency": 1000}
    try:
        handle = (
            ray.remote(SupervisorActor)
            .options(**(named | dict(options) | life))
            .remote(spec, name or registered, registered, namespace, detached)
        )
    except ActorAlreadyExistsError:
        raise AlreadyStarted(registered, None) from None
    link = RayLink(registered, handle)
    await link.ready(timeout_s)
    return link


async def find(name: str, namespace: str) -> RayLink:
    """A running supervisor by its registered name. See `Supervisor.find`."""
    try:
        return RayLink(name, ray.get_actor(name, namespace=namespace))
    except ValueError:
        raise SupervisorDown(name, f"none is registered in namespace {namespace!r}") from None
