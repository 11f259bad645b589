"""A supervisor as a Ray actor, and the way to reach one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections.abc import Mapping
from typing import Any, NoReturn

import ray
from ray.exceptions import ActorAlreadyExistsError, RayActorError

from supervisors import messages as m
from supervisors.backend import TreeNode
from supervisors.clock import SystemClock
from supervisors.errors import AlreadyStarted, CallTimeout, SupervisorDown, SupervisorError
from supervisors.exits import Exit
from supervisors.incarnation import incarnation
from supervisors.process import LINGER_S
from supervisors.ray_backend import RayBackend
from supervisors.ray_child import within
from supervisors.ray_events import Batch, Journal, RayHappenings
from supervisors.ray_memory import Fenced, Kept, Ledger, RayShelf, segment
from supervisors.ray_remains import Adoption, sweep
from supervisors.ray_watch import Process, record_of, wait_dead
from supervisors.server import Server
from supervisors.spec import SupervisorSpec

log = logging.getLogger(__name__)

_READS = (m.WhichChildren, m.WhichChild, m.CountChildren)


class SupervisorActor:
    """The process of a supervisor.

    What survives a crash of it, in a tree whose top is detached: the children, its restart counters and the children
    that were added, which its next life takes over; a nested one is started again by its parent, the top by Ray. In
    another tree: nothing; its children die with it.

    Args:
        spec: What to supervise.
        path: Ids from the top, quoted.
        name: Its registered name.
        namespace: That of the whole tree.
        durable: Whether the top is detached.
        top: Whether it is the top.
    """

    def __init__(
        self, spec: SupervisorSpec, path: str, name: str, namespace: str, durable: bool = False, top: bool = False
    ) -> None:
        self._spec, self._path, self._name, self._namespace = spec, path, name, namespace
        self._durable, self._top = durable, top
        self._parents_term = 0
        self._clock = SystemClock()
        ledger = Ledger(RayShelf(), namespace, path, f"{name} {secrets.token_hex(8)}") if durable else None
        self._backend = RayBackend(
            path, name, namespace, SupervisorActor, self._clock, ledger, _yield_to_the_latest, spec.node_beat
        )
        self._journal = Journal()
        loop = asyncio.get_running_loop()
        self._serving: asyncio.Future[Server] = loop.create_future()
        self._over: asyncio.Future[m.Leave] = loop.create_future()
        self._last_word: asyncio.Future[Exit] = loop.create_future()
        self._is_watched = False
        self._task = loop.create_task(self._run())

    async def heed(self, term: int) -> None:
        """From now on no parent of an earlier term is obeyed. Raises Fenced if it is one itself."""
        if term < self._parents_term:
            raise Fenced
        self._parents_term = term

    async def ready(self, term: int | None = None) -> SupervisorError | None:
        """Wait until the children have started; why they have not, otherwise. A parent gives its term."""
        if term is not None:
            await self.heed(term)
        return await (await self._server()).ready()

    async def call(self, request: m.Request) -> Any:  # each request names its own answer
        """Serve a request; what it changed is written down before it is answered."""
        server = await self._server()
        answer = await server.call(request)
        if isinstance(answer, SupervisorError) or isinstance(request, _READS):
            return answer
        try:
            await self._settle(request)
        except Fenced:
            _yield_to_the_latest()
        return answer

    async def tree(self) -> TreeNode:
        """This supervisor and all below it."""
        tree = await (await self._server()).tree()
        tree["children"] += self._backend.spare_nodes()
        return tree

    async def happened(self, life: str = "", after: int | None = None) -> Batch:
        """What happened after that one, as soon as there is something; without it, where to begin."""
        return self._journal.now() if after is None else await self._journal.after(life, after)

    async def whoami(self) -> TreeNode:
        """`pid`, `node` and `name` of this process."""
        return self._backend.whoami()

    async def terminate(self, reason: str, term: int | None = None) -> None:
        """Stop the children in reverse; when this returns nothing of them is left. A parent gives its term."""
        if term is not None:
            await self.heed(term)
        await (await self._server()).stop(Exit("shutdown", "" if reason == "shutdown" else reason))
        await self.wait_exit()

    async def wait_exit(self) -> Exit:
        """Wait until the supervisor is over: why."""
        return (await asyncio.shield(self._over)).reason

    async def supervised_last_word(self) -> Exit:
        """Wait until it is over, as those do who monitor it: why. They hear it before its parent does, who kills it."""
        self._is_watched = True
        return await asyncio.shield(self._last_word)

    async def leave(self) -> None:
        """End this process when the answers on their way have been sent."""
        ray.actor.exit_actor()  # type: ignore[no-untyped-call]

    async def _server(self) -> Server:
        return await asyncio.shield(self._serving)

    async def _settle(self, request: m.Request) -> None:
        if isinstance(request, m.UpdateSpecs):
            self._backend.supervise(request.spec, request.spec)
        if isinstance(request, m.TerminateChild):
            child = request.child
            await self._backend.drop(*((child, child) if isinstance(child, str) else (child.key, child.id)))
        await self._backend.save()

    async def _run(self) -> None:
        try:
            leave = await self._serve()
        except Fenced:
            _yield_to_the_latest()
        except Exception:
            log.exception("supervisor %s cannot begin", self._name)
            os._exit(1)  # whoever started it decides
        await self._tell_watchers(leave.reason)
        self._over.set_result(leave)
        failed_again = leave.error is not None and self._durable and self._top and await _was_restarted()
        if self._durable and self._top and (leave.gave_up or failed_again):
            # Anything but a hard exit counts as intended, and Ray would not run the actor again.
            os._exit(1)
        if self._top or not self._durable:
            self._depart()  # another waits for its parent, which hears why and then kills it

    async def _serve(self) -> m.Leave:
        kept = await self._recall()
        spec = (kept.updated if kept else None) or self._spec
        self._backend.supervise(spec, kept.updated if kept else None)
        init = await Adoption(self._backend, self._namespace, kept, spec).run() if kept else None
        memory = kept.aged(time.time()) if kept else None
        server = Server(spec, self._backend, self._clock, memory=memory, told=self._journal.put)
        self._backend.remembers(server.memory)
        self._serving.set_result(server)
        leave = await server.run(init)
        self._journal.close()
        return leave

    async def _recall(self) -> Kept | None:
        """What its last life kept. A new top is no life of one that had its name: what that left is ended."""
        if self._backend.ledger is None:
            return None
        if self._top and not await _was_restarted():
            await sweep(RayShelf(), self._namespace, self._path, itself=True)
        await self._backend.ledger.take_term()
        return await self._backend.ledger.recall()

    async def _tell_watchers(self, reason: Exit) -> None:
        self._last_word.set_result(reason)
        if self._is_watched:
            # A call to oneself comes back when the answers before it are on their way.
            with contextlib.suppress(TimeoutError):
                me = ray.get_runtime_context().current_actor
                await within(me.supervised_last_word.remote(), LINGER_S)

    def _depart(self) -> None:
        ray.get_runtime_context().current_actor.leave.remote()


def _yield_to_the_latest() -> NoReturn:
    """A later life of this supervisor has begun, or it was ended from outside: nothing is left to do."""
    os._exit(0)


async def _was_restarted() -> bool:
    """Whether Ray has run this actor before."""
    record = await record_of(ray.get_runtime_context().get_actor_id() or "")
    return record is not None and record.num_restarts > 0


class RayLink:
    """The way to a supervisor actor."""

    def __init__(self, name: str, namespace: str, handle: Any) -> None:
        self._name, self._namespace, self._handle = name, namespace, handle

    @property
    def name(self) -> str:
        """The registered name."""
        return self._name

    async def call(self, request: m.Request, timeout_s: float | None) -> Any:
        """The answer to a request."""
        return await self._ask(self._handle.call.remote(request), timeout_s)

    async def tree(self, timeout_s: float | None) -> TreeNode:
        """What it supervises."""
        tree: TreeNode = await self._ask(self._handle.tree.remote(), timeout_s)
        return tree

    def events(self) -> RayHappenings:
        """What happens to its children from now on."""
        return RayHappenings(self._handle)

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
        await sweep(RayShelf(), self._namespace, segment(self._name), itself=True)


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
            .remote(spec, segment(registered), registered, namespace, detached, True)
        )
    except ActorAlreadyExistsError:
        raise AlreadyStarted(registered, None) from None
    link = RayLink(registered, namespace, handle)
    await link.ready(timeout_s)
    return link


async def find(name: str, namespace: str) -> RayLink:
    """A running supervisor by its registered name. See `Supervisor.find`."""
    try:
        return RayLink(name, namespace, await asyncio.to_thread(ray.get_actor, name, namespace))
    except ValueError:
        raise SupervisorDown(name, f"none is registered in namespace {namespace!r}") from None
