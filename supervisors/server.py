"""The shell around the core: one loop that feeds events in and carries effects out. Free of Ray."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from itertools import count
from typing import Any

from supervisors import messages as m
from supervisors.backend import Backend, TreeNode
from supervisors.clock import Clock
from supervisors.core import step
from supervisors.errors import SupervisorError, SupervisorStopping
from supervisors.exits import Exit
from supervisors.observe import Happening, happening_of
from supervisors.spec import SupervisorSpec
from supervisors.state import Memory, Slot, new_state, remember

_TREE_STATUS = {
    "starting": "starting",
    "restarting": "starting",
    "running": "ready",
    "stopping": "draining",
    "stopped": "dead",
}


class Server:
    """A supervisor in one asyncio loop.

    Calls are served one after the other; reads (`which_children`, `count_children`, `tree`) answer at once, also while
    a child starts slowly, and so do exits. What survives its process is the memory that it is given, and gives.

    Args:
        spec: What to supervise.
        backend: What runs the children.
        clock: For stamps.
        memory: What `memory()` of its former life gave, if it had one.
        told: Is called with everything that happens to the children.
    """

    def __init__(
        self,
        spec: SupervisorSpec,
        backend: Backend,
        clock: Clock,
        *,
        memory: Memory | None = None,
        told: Callable[[Happening], None] | None = None,
    ) -> None:
        self._state = new_state(spec, memory, clock.monotonic_s())
        self._told = told
        self._backend = backend
        self._clock = clock
        self._refs = count(1)
        self._callers: dict[int, asyncio.Future[Any]] = {}
        self._started_at = clock.now_rfc3339()
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[SupervisorError | None] = loop.create_future()
        self._left: asyncio.Future[m.Leave] = loop.create_future()

    async def run(self, init: m.Init | None = None) -> m.Leave:
        """Start the children, or take over those that `init` found; supervise them, return when it is over."""
        await self._backend.open(self._handle)
        self._handle(init or m.Init())
        leave = await self.left()
        await self._backend.close()
        return leave

    async def ready(self) -> SupervisorError | None:
        """Wait until all children have started, or until they will not: then the reason."""
        return await asyncio.shield(self._ready)

    async def left(self) -> m.Leave:
        """Wait until the supervisor is over and no child is left."""
        return await asyncio.shield(self._left)

    async def call(self, request: m.Request) -> Any:
        """The answer to a request, or the error that is its answer."""
        ref = next(self._refs)
        caller = self._callers[ref] = asyncio.get_running_loop().create_future()
        try:
            self._handle(m.Call(ref, request))
            return await caller
        finally:
            self._callers.pop(ref, None)

    async def stop(self, reason: Exit) -> m.Leave:
        """Stop the children in reverse and wait until that is done."""
        self._handle(m.Stop(reason))
        return await self.left()

    def memory(self) -> Memory:
        """What to give the supervisor's next life."""
        return remember(self._state, self._clock.monotonic_s())

    async def tree(self) -> TreeNode:
        """The supervisor and all below it as plain data.

        Returns:
            `id`, `kind`, `pid`, `node`, `name`, `status` (`starting`, `ready`, `draining`, `dead`), `restarts`,
            `last_exit`, `started_at` and `children`, in start order. A nested supervisor that does not answer within
            a second is shown without children.
        """
        me = self._backend.whoami()
        slots = list(self._state.slots.values())
        return {
            "id": me["name"],
            "kind": "supervisor",
            **me,
            "status": {"init": "starting", "running": "ready", "stopping": "draining"}.get(self._state.phase, "dead"),
            "restarts": 0,
            "last_exit": None,
            "started_at": self._started_at,
            "children": list(await asyncio.gather(*map(self._node, slots))),
        }

    async def _node(self, slot: Slot) -> TreeNode:
        child, spec = slot.child, slot.spec
        node: TreeNode = {
            "id": spec.id,
            "kind": "supervisor" if spec.is_supervisor else spec.kind,
            "pid": child.pid if child else None,
            "node": child.node if child else None,
            "name": child.name if child else None,
            "status": _TREE_STATUS[slot.status],
            "restarts": slot.restarts,
            "last_exit": str(slot.last_exit) if slot.last_exit else None,
            "started_at": child.started_at if child else None,
            "children": [],
        }
        if spec.is_supervisor and slot.alive:
            nested = await self._backend.tree(slot.key, slot.instance) or {}
            node |= {key: nested[key] for key in ("pid", "node", "name", "children") if key in nested}
        return node

    def _handle(self, event: m.Event) -> None:
        before = happening_of(self._state, event, self._clock) if self._told else None
        effects = step(self._state, event, self._clock.monotonic_s())
        if self._told and before:
            self._told(before)
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: m.Effect) -> None:
        match effect:
            case m.Start(id_, instance, spec):
                self._backend.start(id_, instance, spec)
            case m.StopChild(id_, instance, shutdown):
                self._backend.stop(id_, instance, shutdown)
            case m.Retry(id_, instance, after_s, jitter):
                wait_s = after_s * (1 + jitter * random.random())  # noqa: S311 - only spreads them
                asyncio.get_running_loop().call_later(wait_s, self._handle, m.TryAgain(id_, instance))
            case m.Reply(ref, answer):
                self._reply(ref, answer)
            case m.Ready():
                self._ready.set_result(None)
            case m.Leave():
                self._leave(effect)

    def _reply(self, ref: int, answer: Any) -> None:
        caller = self._callers.get(ref)
        if caller is not None and not caller.done():
            caller.set_result(answer)

    def _leave(self, leave: m.Leave) -> None:
        if not self._ready.done():
            self._ready.set_result(leave.error or SupervisorStopping())
        self._left.set_result(leave)
