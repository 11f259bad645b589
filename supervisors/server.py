"""The shell around the core: one loop that feeds events in and carries effects out. Free of Ray."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Any

from supervisors import messages as m
from supervisors.backend import Backend, TreeNode
from supervisors.clock import Clock
from supervisors.core import step
from supervisors.errors import SupervisorError, SupervisorStopping
from supervisors.exits import Exit
from supervisors.happenings import Feed, Happenings
from supervisors.observe import Happening, happening_of
from supervisors.spec import SupervisorSpec
from supervisors.state import Memory, Slot, new_state, remember

_BURST = 32  # so many events or calls, then others have their turn of the loop
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
        reached: Is called when all children have started, and when the supervisor is over.
    """

    def __init__(
        self,
        spec: SupervisorSpec,
        backend: Backend,
        clock: Clock,
        *,
        memory: Memory | None = None,
        told: Callable[[Happening], None] | None = None,
        reached: Callable[[m.Ready | m.Leave], None] | None = None,
    ) -> None:
        self._state = new_state(spec, memory, clock.monotonic_s())
        self._feed = Feed()
        if told is not None:
            self._feed.listen(told)
        self._reached = reached
        self._events: deque[m.Event] = deque()
        self._draining = False
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
        await self._backend.open(self.handle)
        self.begin(init)
        leave = await self.left()
        await self._backend.close()
        return leave

    def begin(self, init: m.Init | None = None) -> None:
        """The same for a backend that is open already; `handle` takes its reports."""
        init = init or m.Init()
        for key, (_, child) in init.found.items():
            self._feed.tell(Happening("adopted", child.id, key, child.name, None, self._clock.now_rfc3339()))
        self.handle(init)

    @property
    def is_over(self) -> bool:
        """Whether it has left, and no child with it."""
        return self._left.done()

    def events(self) -> Happenings:
        """What happens to the children from now on; ends when the supervisor is over."""
        return self._feed.subscribe()

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
            self.handle(m.Call(ref, request))
            if ref % _BURST == 0:
                await asyncio.sleep(0)  # one who calls in a loop would keep the loop where answers come at once
            return await caller
        finally:
            self._callers.pop(ref, None)

    async def stop(self, reason: Exit) -> m.Leave:
        """Stop the children in reverse and wait until that is done."""
        self.handle(m.Stop(reason))
        return await self.left()

    def memory(self) -> Memory:
        """What to give the supervisor's next life."""
        return remember(self._state, self._clock.monotonic_s())

    async def tree(self) -> TreeNode:
        """The supervisor and all below it as plain data.

        Returns:
            `id`, `kind`, `pid`, `node`, `name`, `status` (`starting`, `ready`, `draining`, `dead`), `restarts`,
            `last_exit`, `started_at`, `uptime_s` (None if it does not run), `queue` (calls that wait for a supervisor;
            None for others) and `children`, in start order. A nested supervisor that does not answer within a second
            is shown without children.
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
            "uptime_s": self._age_s(self._started_at),
            "queue": len(self._state.waiting) + (self._state.current is not None),
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
            "uptime_s": self._age_s(child.started_at) if child else None,
            "queue": None,
            "children": [],
        }
        if spec.is_supervisor and slot.alive:
            nested = await self._backend.tree(slot.key, slot.instance) or {}
            node |= {key: nested[key] for key in ("pid", "node", "name", "queue", "children") if key in nested}
        return node

    def _age_s(self, started_at: str) -> float:
        age = datetime.fromisoformat(self._clock.now_rfc3339()) - datetime.fromisoformat(started_at)
        return round(max(age.total_seconds(), 0.0), 3)  # a clock may have been set back

    def handle(self, event: m.Event) -> None:
        """Take an event in: at once, or after those that are being handled now, in the order they came."""
        self._events.append(event)
        if not self._draining:
            self._drain()

    def _drain(self) -> None:
        self._draining = True
        try:
            for _ in range(_BURST):
                if not self._events:
                    return
                self._take(self._events.popleft())
        finally:
            self._draining = False
        asyncio.get_running_loop().call_soon(self._drain)

    def _take(self, event: m.Event) -> None:
        happening = happening_of(self._state, event, self._clock) if self._feed.has_listeners else None
        effects = step(self._state, event, self._clock.monotonic_s())
        if happening:
            self._feed.tell(happening)
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
                asyncio.get_running_loop().call_later(wait_s, self.handle, m.TryAgain(id_, instance))
            case m.Reply(ref, answer):
                self._reply(ref, answer)
            case m.Ready() | m.Leave():
                self._reach(effect)

    def _reply(self, ref: int, answer: Any) -> None:
        caller = self._callers.get(ref)
        if caller is not None and not caller.done():
            caller.set_result(answer)

    def _reach(self, point: m.Ready | m.Leave) -> None:
        if not self._ready.done():
            self._ready.set_result(None if isinstance(point, m.Ready) else point.error or SupervisorStopping())
        if isinstance(point, m.Leave):
            self._left.set_result(point)
            self._say_goodbye(point)
        if self._reached is not None:
            self._reached(point)

    def _say_goodbye(self, leave: m.Leave) -> None:
        if leave.gave_up and self._feed.has_listeners:
            me, now = str(self._backend.whoami()["name"]), self._clock.now_rfc3339()
            self._feed.tell(Happening("escalated", me, "", me, leave.reason, now))
        self._feed.close()
