"""Children as objects of this process, on the event loop that their supervisor runs on.

A plain class costs an object and no task. Everything happens in the loop's thread; what a child does between two
`await`s nobody can interrupt.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from supervisors import messages as m
from supervisors.address import LOCAL
from supervisors.backend import Report, TreeNode
from supervisors.clock import Clock
from supervisors.errors import BadSpec, SupervisorError
from supervisors.exits import KILLED
from supervisors.incarnation import incarnation
from supervisors.local_child import Life, LocalChild, LocalNode
from supervisors.local_lives import ObjectLife, ProcessLife, failure
from supervisors.local_registry import LocalKeeper
from supervisors.process import Process
from supervisors.spec import BRUTAL_KILL, ChildSpec, Shutdown, SupervisorSpec

_ELSEWHERE = ("options", "spares", "anti_affinity", "node_labels", "heartbeat")


def check(spec: ChildSpec | SupervisorSpec) -> None:
    """Whether all of this can run as objects of this process.

    Raises:
        BadSpec: It asks for what only Ray actors have.
    """
    if isinstance(spec, SupervisorSpec):
        if spec.node_beat is not None:
            raise BadSpec("node_beat goes with backend='ray' only; leave it out.")
        for child in spec.children:
            check(child)
        return
    for name in _ELSEWHERE:
        if getattr(spec, name):
            raise BadSpec(f"Child {spec.id!r}: {name} goes with backend='ray' only; leave it out.")
    if spec.via is not None:
        spec.via.check("local")
    if isinstance(spec.start, SupervisorSpec):
        check(spec.start)
    elif not isinstance(spec.start, type):
        raise BadSpec(f"Child {spec.id!r} starts a Ray actor class; give the plain class, or use backend='ray'.")


class LocalBackend:
    """Runs children as objects; reports at once, which `Server.handle` puts in order.

    Args:
        path: What children's names begin with: the supervisor's own path of ids.
        name: The supervisor's name.
        namespace: Where names are looked up.
        nested: Makes the life of a nested supervisor, which is called with its path.
        clock: For `started_at`.
    """

    def __init__(
        self, path: str, name: str, namespace: str, nested: Callable[[LocalChild, str], Life], clock: Clock
    ) -> None:
        self.namespace = namespace
        self.node = LocalNode.here()
        self.now_rfc3339 = clock.now_rfc3339
        self._path, self._name = path, name
        self._nested = nested
        self._children: dict[str, LocalChild] = {}
        self._report: Callable[[Report], None] | None = None
        self._is_brutal = False

    async def open(self, report: Callable[[Report], None]) -> None:
        """Report there."""
        self.attach(report)

    def attach(self, report: Callable[[Report], None]) -> None:
        """The same without waiting."""
        self._report = report

    async def close(self) -> None:
        """Nothing is left to do: no child, no watch."""

    def whoami(self) -> TreeNode:
        """The supervisor's own process."""
        return {"pid": os.getpid(), "node": LOCAL, "name": self._name}

    def start(self, id: str, instance: int, spec: ChildSpec) -> None:  # noqa: A002
        """Make the child; it reports by itself how that went."""
        path = spec.name or f"{self._path}/{spec.id}"
        child = self._children[id] = LocalChild(self, id, instance, spec, incarnation(path))
        child.life = self._life(child, path)
        try:
            if spec.via is not None:
                LocalKeeper.here().enter(spec.via, child.name)
        except SupervisorError as error:
            child.ended(failure(error))
        else:
            child.life.begin()

    def stop(self, id: str, instance: int, shutdown: Shutdown) -> None:  # noqa: A002
        """Ask and then end, or end."""
        child = self._children.get(id)
        if child is not None and child.instance == instance:
            child.is_stopping = True
            child.life.stop(BRUTAL_KILL if self._is_brutal else shutdown)

    def brutal(self) -> None:
        """Ask nobody any more, and wait no longer for those that were asked."""
        self._is_brutal = True
        for child in list(self._children.values()):
            if child.is_stopping:
                child.life.exit(KILLED)

    async def tree(self, id: str, instance: int) -> TreeNode | None:  # noqa: A002
        """Ask the nested supervisor."""
        child = self._children.get(id)
        tree: TreeNode | None = None
        if child is not None and child.instance == instance and child.object is not None:
            tree = await child.object.tree(None)
        return tree

    def report(self, report: Report) -> None:
        """A child's word; one that is over is forgotten."""
        if not isinstance(report, m.Started):
            del self._children[report.id]
        assert self._report is not None
        self._report(report)

    def _life(self, child: LocalChild, path: str) -> Life:
        start = child.spec.start
        if isinstance(start, SupervisorSpec):
            return self._nested(child, path)
        return ProcessLife(child) if issubclass(start, Process) else ObjectLife(child)
