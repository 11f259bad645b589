"""Children as Ray actors: starts, follows and ends them.

A child is owned by its supervisor's process: Ray ends it within some 30 ms of the supervisor's death, which is the
link. In a tree whose top is detached children are detached too and outlive it; then the supervisor has a ledger, in
which each incarnation is written before it is made, and `adopt` finds them again. Ray itself never restarts a child.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from typing import Any

import ray

from supervisors import keeper
from supervisors import messages as m
from supervisors.backend import Report, TreeNode
from supervisors.child import Child
from supervisors.clock import Clock
from supervisors.core import after_exit
from supervisors.exits import KILLED, SHUTDOWN, Exit
from supervisors.heartbeats import NodeBeat
from supervisors.incarnation import incarnation
from supervisors.ray_blank import blank
from supervisors.ray_child import ChildActor
from supervisors.ray_memory import Fenced, Kept, Ledger, RayShelf, child_path
from supervisors.ray_places import Places
from supervisors.ray_process import Begun, actor_class
from supervisors.ray_remains import sweep
from supervisors.ray_spares import Spares
from supervisors.ray_vitals import Vitals
from supervisors.ray_watch import DeathFeed, Process, actor_record
from supervisors.spec import GROUP_STRATEGIES, ChildSpec, Shutdown, SupervisorSpec
from supervisors.state import Memory

_LAST_ANSWER_S = 0.5


class RayBackend:
    """Runs children as actors of one namespace.

    Args:
        path: What children's names begin with: the supervisor's own path of ids.
        name: The supervisor's registered name.
        namespace: Where children are registered.
        supervisor_class: The actor class of nested supervisors; takes (spec, path, name, namespace, durable).
        clock: For `started_at`.
        ledger: Where what it does is written, if its children outlive it.
        fenced: Is called once when a later life of the supervisor is found; from then on nothing is done.
        node_beat: When a silent node is lost.
    """

    def __init__(
        self,
        path: str,
        name: str,
        namespace: str,
        supervisor_class: type,
        clock: Clock,
        ledger: Ledger | None = None,
        fenced: Callable[[], None] = lambda: None,
        node_beat: NodeBeat | None = None,
    ) -> None:
        self._path, self._name, self._namespace = path, name, namespace
        self._in_groups = self._on_demand = False
        self._supervisor_class = supervisor_class
        self._clock = clock
        self.ledger = ledger
        self._fenced = fenced
        self._is_fenced = False
        self._feed = DeathFeed()
        self._is_open = self._is_closing = False
        self._actors: dict[tuple[str, int], ChildActor] = {}
        self.places = Places(clock)
        self._given_up: defaultdict[str, list[ChildActor]] = defaultdict(list)  # by node
        self.vitals = Vitals(self, namespace, path, node_beat)
        self.spares = Spares(self)
        self._classes: dict[Any, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._node: str = ray.get_runtime_context().get_node_id()
        self._remember: Callable[[], Memory] = Memory
        self._updated: SupervisorSpec | None = None

    async def open(self, report: Callable[[Report], None]) -> None:
        """Subscribe to deaths, unless `watch_deaths` has; follow those that were adopted."""
        self._report = report
        await self.watch_deaths()
        adopted = [*self._actors.values(), *self.spares]
        await self.vitals.open(self.ledger is not None, adopted)
        for actor in self._actors.values():
            self.spawn(self._follow(actor))
            self.spares.want(actor)
        self.spares.open()
        for actor in adopted:
            if not await self.vitals.follow(actor):
                self.spawn(self.vitals.begin_again(actor))

    async def close(self) -> None:
        """End what is no child, and what nested supervisors left; unsubscribe."""
        await self.spares.close()
        self._is_closing = self._is_fenced = True
        if self.ledger is not None:
            await sweep(RayShelf(), self._namespace, self._path, itself=False)
            await self.ledger.forget()
        await self.vitals.close()
        await self._feed.close()

    def whoami(self) -> TreeNode:
        """The supervisor's own process."""
        return {"pid": os.getpid(), "node": self._node, "name": self._name}

    def start(self, id: str, instance: int, spec: ChildSpec) -> None:  # noqa: A002
        """Begin to make the actor, and follow it to its end."""
        actor = ChildActor(id, instance, spec, incarnation(spec.name or self.path_of(id, spec)))
        self._actors[id, instance] = actor
        self.spawn(self._live(actor))

    def stop(self, id: str, instance: int, shutdown: Shutdown) -> None:  # noqa: A002
        """Ask and then kill, or kill."""
        actor = self._actors.get((id, instance))
        if actor is not None:
            self.spawn(self._stop(actor, shutdown))

    async def tree(self, id: str, instance: int) -> TreeNode | None:  # noqa: A002
        """Ask the nested supervisor."""
        actor = self._actors.get((id, instance))
        return await actor.tree() if actor is not None and actor.handle is not None else None

    def remembers(self, remember: Callable[[], Memory]) -> None:
        """What gives the memory to write."""
        self._remember = remember

    def supervise(self, spec: SupervisorSpec, updated: SupervisorSpec | None = None) -> None:
        """What the supervisor supervises from now on; `updated` is the same if `update_specs` said so."""
        self._in_groups, self._on_demand = spec.strategy in GROUP_STRATEGIES, spec.is_dynamic
        self.spares.supervise(spec)
        self._updated = updated

    def kept(self) -> Kept:
        """All that is to be written."""
        notes = [actor.note for actor in self._actors.values()] + self.spares.notes()
        return Kept(self._remember(), tuple(notes), self._updated)

    async def save(self) -> None:
        """Return when what is true now is written. Raises Fenced."""
        if self.ledger is not None and not self._is_closing:
            await self.ledger.keep(self.kept)
            await self.ledger.check()

    async def check(self) -> None:
        """Raises Fenced if there is a later life of this supervisor."""
        if self.ledger is not None and not self._is_closing:
            await self.ledger.check()

    async def drop(self, key: str, id: str) -> None:  # noqa: A002
        """The child of this key was terminated: so are its spares, and what a dead supervisor of it left."""
        if any(living == key for living, _ in self._actors):
            return
        await self.spares.drop(key)
        if self.ledger is not None:
            await sweep(RayShelf(), self._namespace, child_path(self._path, key, id), itself=True)

    def spare_nodes(self) -> list[TreeNode]:
        """Spares, as nodes of a tree."""
        return self.spares.nodes()

    def note_node_lost(self, node: str) -> None:
        """Somebody knows that this node is gone, before Ray does: so is everything on it."""
        self.places.avoid(node)
        for actor in [*self._actors.values(), *self.spares]:
            if actor.node == node and actor.handle is not None:
                # No kill: Ray is told of the node, and so tells everybody that its actors were lost, not killed.
                self._given_up[node].append(actor)
                actor.lose(Exit("node_lost", node))

    def readmit(self, node: str) -> None:
        """It was thought to be lost, and is a node like any other again, without those that were given up."""
        self.places.readmit(node)
        for actor in self._given_up.pop(node, ()):
            ray.kill(actor.handle)

    @property
    def term(self) -> int:
        """What orders to children carry: that of the supervisor's life, 0 in a tree that ends with its top."""
        return self.ledger.term if self.ledger is not None else 0

    def siblings(self, actor: ChildActor) -> Counter[str]:
        """How many others run, or are about to, on each node; a spare avoids spares and its child first."""
        nodes = Counter(other.node for other in self._actors.values() if other is not actor and other.node)
        if actor.kind == "spare":
            mates = [*self.spares, *(other for other in self._actors.values() if other.key == actor.key)]
            for node in (mate.node for mate in mates if mate is not actor and mate.node):
                nodes[node] += 1 + len(self._actors)
        return nodes

    def adopt(self, actor: ChildActor) -> None:
        """Take over a living child of the supervisor's former life."""
        actor.started = True
        if actor.kind == "spare":
            self.spares.adopt(actor)
        else:
            self._actors[actor.key, actor.instance] = actor

    async def watch_deaths(self) -> None:
        """Subscribe, once."""
        if not self._is_open:
            self._is_open = True
            await self._feed.open()

    def watch(self, actor: ChildActor) -> None:
        """Hear of its death."""
        self._feed.watch(actor.handle._actor_id, actor.note_death)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it until it ends, or until this life is found to be over."""
        task = asyncio.get_running_loop().create_task(self._unless_fenced(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _unless_fenced(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Fenced:
            if not self._is_fenced:
                self._is_fenced = True
                self._fenced()

    def path_of(self, key: str, spec: ChildSpec) -> str:
        """The path of a child, which heads its name."""
        return child_path(self._path, key, spec.id)

    async def make(self, actor: ChildActor) -> None:
        """Write it down, then make it. Raises what Ray raises, and Fenced: then it was not made, or is killed."""
        await self.save()
        if actor.asked:
            raise RuntimeError("terminated before it was made")
        actor.handle = self._create(actor)
        self.watch(actor)
        try:
            await self.check()
        except Fenced:
            actor.kill(KILLED)
            raise

    def _create(self, actor: ChildActor) -> Any:
        spec, name = actor.spec, actor.name
        (args, kwargs), options = ((), {}) if actor.is_blank else actor.arguments, dict(spec.options)
        durable = self.ledger is not None
        if isinstance(spec.start, SupervisorSpec):
            args = (spec.start, self.path_of(actor.key, spec), name, self._namespace, durable)
            options = {"num_cpus": 0, "max_concurrency": 1000} | options
        options |= self._placement(actor) | {"lifetime": "detached" if durable else "non_detached", "max_restarts": 0}
        return (
            self._class(spec.start, actor.is_blank)
            .options(**options, name=name, namespace=self._namespace)
            .remote(*args, **kwargs)
        )

    def _class(self, start: Any, is_blank: bool) -> Any:
        cls = self._supervisor_class if isinstance(start, SupervisorSpec) else start
        if (cls, is_blank) not in self._classes:
            self._classes[cls, is_blank] = actor_class(blank(cls) if is_blank else cls)
        return self._classes[cls, is_blank]

    def _placement(self, actor: ChildActor) -> dict[str, Any]:
        siblings = self.siblings(actor) if actor.spec.anti_affinity else {}
        options, actor.node = self.places.choose(actor.spec, siblings)
        return options

    async def _live(self, actor: ChildActor) -> None:
        begun = await self._begun(actor)
        if begun.failed is None and not begun.ignored:
            started = m.Started(actor.key, actor.instance, self.child_of(actor, begun.info))
            actor.has_started()
            self._tell(started)
            self.spares.want(actor)
            await self._follow(actor)
            return
        if actor.handle is not None:
            await self.end(actor, begun.failed or SHUTDOWN)
            await actor.dead
            await actor.process.wait_gone()
        del self._actors[actor.key, actor.instance]
        if begun.failed is None:
            self._tell(m.Ignored(actor.key, actor.instance))
        else:
            self._tell(m.StartFailed(actor.key, actor.instance, begun.failed))

    async def _begun(self, actor: ChildActor) -> Begun:
        """Make it, or let it be a spare, and start it."""
        try:
            spare = self.spares.take(actor)
            if spare is None:
                await self.make(actor)
            else:
                actor.take(spare)
                await self.save()
            return await actor.start(self.vitals, self.term)
        except Fenced:
            raise
        except Exception as error:
            return Begun(failed=Exit("init_failed", f"{type(error).__name__}: {error}"))

    async def locate(self, actor: ChildActor) -> None:
        """Where it runs. Raises LookupError if Ray does not know."""
        record = await actor_record(actor.handle._actor_id)
        if record is None:
            raise LookupError("Ray has no record of it")
        actor.node = record.address.node_id.hex()
        actor.process = Process(record.pid, here=False)  # `vitals` knows it by more than its number

    def child_of(self, actor: ChildActor, info: Any = None) -> Child:  # whatever `init` returned
        """What is shown of a child that has started."""
        at = self._clock.now_rfc3339()
        actor.child = Child(
            actor.spec.id, actor.name, self._namespace, actor.process.pid, actor.node, at, key=actor.key, info=info
        )
        return actor.child

    async def _follow(self, actor: ChildActor) -> None:
        """Report its end, when nothing of it is left."""
        if actor.says_why:
            self.spawn(self._await_exit(actor))
        reason = await actor.dead
        if reason.kind == "node_lost":
            self.places.avoid(actor.node)
        await actor.process.wait_gone()
        keeper.release(actor.handle._actor_id.hex())
        if actor.is_nested and self.ledger is not None and self._is_over(actor):
            await sweep(RayShelf(), self._namespace, self.path_of(actor.key, actor.spec), itself=True)
        if self._needs_no_spare(actor, reason):
            await self.spares.drop(actor.key)
        del self._actors[actor.key, actor.instance]
        self._tell(m.Exited(actor.key, actor.instance, reason))

    def _is_over(self, actor: ChildActor) -> bool:
        """Whether what is below it is not for the next incarnation: it was ended, or there will be none."""
        return actor.asked or self._in_groups or actor.spec.restart == "temporary"

    def _needs_no_spare(self, actor: ChildActor, reason: Exit) -> bool:
        """Where children are started on demand, nobody can restart one by hand."""
        if self._in_groups or self._is_over(actor):
            return not self._in_groups
        return self._on_demand and after_exit(actor.spec.restart, reason) != "restart"

    async def _await_exit(self, actor: ChildActor) -> None:
        """It tells why it goes; the kill spares the quarter of a second that leaving takes Ray."""
        reason = await actor.own_exit()
        if reason is not None and actor.asked:
            # The answer of its `terminate`, which knows more, is on its way, unless it ended in the middle of that.
            await asyncio.wait({actor.dead}, timeout=_LAST_ANSWER_S)
        if reason is not None and not actor.dead.done():
            await self.end(actor, reason)

    async def _stop(self, actor: ChildActor, shutdown: Shutdown) -> None:
        actor.asked = True
        if actor.handle is not None:
            await self.end(actor, await actor.ask_to_end(shutdown, self.term))

    async def end(self, actor: ChildActor, reason: Exit) -> None:
        """Kill it. Raises Fenced."""
        await self.check()
        actor.kill(reason)

    def _tell(self, report: Report) -> None:
        self._report(report)
        if self.ledger is not None:
            self.spawn(self.save())
