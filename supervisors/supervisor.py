"""The supervisor as its users hold it: calls in, typed answers out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from supervisors import messages as m
from supervisors.backend import TreeNode
from supervisors.child import Child, ChildInfo, Counts
from supervisors.errors import BadSpec, SupervisorError
from supervisors.spec import ChildSpec, Strategy, SupervisorSpec


class Link(Protocol):
    """The way to a running supervisor."""

    @property
    def name(self) -> str:
        """The name it is registered under."""
        ...

    async def call(self, request: m.Request, timeout_s: float | None) -> Any:
        """Its answer; an error may be one."""
        ...

    async def tree(self, timeout_s: float | None) -> TreeNode:
        """What it supervises."""
        ...

    async def stop(self, timeout_s: float | None) -> None:
        """Stop its children in reverse, then itself, and see its process gone."""
        ...


class Supervisor:
    """A handle to a running supervisor; any number of them may exist, in any process of the cluster.

    Guarantees: calls are served one after the other; `which_children`, `count_children` and `tree` answer at once. A
    supervisor that is gone takes its children with it. A detached one whose process is killed is run again by Ray and
    starts its children anew. Every call takes `timeout_s`, None being for ever: `CallTimeout` says that the caller
    has waited enough, not that the call is undone. A supervisor that does not answer raises `SupervisorDown`.

    Divergence from OTP: `stop` does not wait behind a start in progress, it ends it. A detached supervisor that gives
    up is restarted by Ray, its parent, without a limit. Exits are noticed and restarts go on while a call is served.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def name(self) -> str:
        """The name that it is registered under."""
        return self._link.name

    @classmethod
    async def start(
        cls,
        *,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 1,
        max_seconds: float = 5.0,
        children: Iterable[ChildSpec] = (),
        backend: str = "ray",
        name: str | None = None,
        namespace: str = "supervisors",
        detached: bool = False,
        options: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> Supervisor:
        """Start a supervisor and its children, in order.

        Args:
            strategy: See `SupervisorSpec`.
            max_restarts: See `SupervisorSpec`.
            max_seconds: See `SupervisorSpec`.
            children: Started now. On a failure those already started are stopped in reverse.
            backend: `"ray"`: supervisor and children are Ray actors.
            name: Registers it, and heads its children's names; None makes a unique one.
            namespace: Ray namespace of the supervisor and all below it.
            detached: It outlives its creator and is restarted by Ray; otherwise it dies with the calling process, or
                when the last handle is dropped.
            options: Passed to Ray's `.options()` for the supervisor's own actor.
            timeout_s: Seconds to wait for all of this; when they are over the supervisor is killed.

        Raises:
            BadSpec: A value is not accepted.
            AlreadyStarted: The name is taken.
            FailedToStartChild: A child did not start.
            CallTimeout: Time ran out.
        """
        spec = SupervisorSpec(
            strategy=strategy, max_restarts=max_restarts, max_seconds=max_seconds, children=tuple(children)
        )
        if backend != "ray":
            raise BadSpec(f"backend={backend!r} is not known; accepted: 'ray'.")
        if detached and name is None:
            raise BadSpec("detached=True needs a name, or nobody could find the supervisor again; give name=….")
        from supervisors import ray_supervisor

        return cls(
            await ray_supervisor.start(
                spec, name=name, namespace=namespace, detached=detached, options=options or {}, timeout_s=timeout_s
            )
        )

    @classmethod
    async def find(cls, name: str, namespace: str = "supervisors") -> Supervisor:
        """A running supervisor by its registered name.

        Raises:
            SupervisorDown: There is none.
        """
        from supervisors import ray_supervisor

        return cls(await ray_supervisor.find(name, namespace))

    @classmethod
    async def of(cls, child: Child) -> Supervisor:
        """A nested supervisor, as `start_child` or `which_children` of its parent answered it.

        Raises:
            SupervisorDown: That incarnation is gone.
        """
        return await cls.find(child.name, child.namespace)

    async def start_child(self, spec: ChildSpec, *, timeout_s: float | None = None) -> Child:
        """Add a specification and start its child, in the last place.

        Raises:
            AlreadyStarted: A child of that id runs.
            AlreadyPresent: The id is taken by a child that does not run, or is restarting.
            StartError: The child's own start failed; its specification is not kept.
        """
        return cast(Child, await self._call(m.StartChild(spec), timeout_s))

    async def terminate_child(self, id: str, *, timeout_s: float | None = None) -> None:  # noqa: A002
        """Stop a child, also one that is restarting; fine if it is stopped. A temporary one's specification goes.

        Raises:
            ChildNotFound: There is none of that id.
        """
        await self._call(m.TerminateChild(id), timeout_s)

    async def restart_child(self, id: str, *, timeout_s: float | None = None) -> Child:  # noqa: A002
        """Start a child that was terminated.

        Raises:
            Running: It runs.
            Restarting: It is being restarted.
            ChildNotFound: There is none of that id.
            StartError: Its start failed; the specification stays.
        """
        return cast(Child, await self._call(m.RestartChild(id), timeout_s))

    async def delete_child(self, id: str, *, timeout_s: float | None = None) -> None:  # noqa: A002
        """Remove the specification of a child that was terminated.

        Raises:
            Running: It runs.
            Restarting: It is being restarted.
            ChildNotFound: There is none of that id.
        """
        await self._call(m.DeleteChild(id), timeout_s)

    async def which_children(self, *, timeout_s: float | None = None) -> list[ChildInfo]:
        """The children, newest first."""
        return cast(list[ChildInfo], await self._call(m.WhichChildren(), timeout_s))

    async def count_children(self, *, timeout_s: float | None = None) -> Counts:
        """How many specifications, running children, supervisors and workers there are."""
        return cast(Counts, await self._call(m.CountChildren(), timeout_s))

    async def tree(self, *, timeout_s: float | None = None) -> TreeNode:
        """The supervisor and all below it as nested plain dicts: see `Server.tree`."""
        return await self._link.tree(timeout_s)

    async def stop(self, *, timeout_s: float | None = None) -> None:
        """Stop the children in reverse, then the supervisor; returns when the processes are gone, or were already."""
        await self._link.stop(timeout_s)

    async def _call(self, request: m.Request, timeout_s: float | None) -> Any:
        answer = await self._link.call(request, timeout_s)
        if isinstance(answer, SupervisorError):
            raise answer
        return answer
