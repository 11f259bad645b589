"""The supervisor as its users hold it: calls in, typed answers out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final, Protocol, cast

from supervisors import local_supervisor
from supervisors import messages as m
from supervisors.address import LOCAL, Address
from supervisors.backend import TreeNode
from supervisors.child import Child, ChildInfo, Counts
from supervisors.errors import BadSpec, SupervisorError
from supervisors.exits import Exit
from supervisors.heartbeats import NodeBeat
from supervisors.observe import Happening
from supervisors.spec import AutoShutdown, ChildSpec, Strategy, SupervisorSpec, check_text

BACKENDS: Final = ("ray", "local")


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

    def events(self) -> AsyncIterator[Happening]:
        """What happens to its children from now on."""
        ...


class Supervisor:
    """A handle to a running supervisor; any number of them may exist, in any process of the cluster.

    Guarantees: calls are served one after the other; `which_children`, `count_children` and `tree` answer at once. A
    supervisor that is gone takes its children with it. A detached one whose process is killed is run again by Ray and
    takes over what lives below it. Every call takes `timeout_s`, None being for ever: `CallTimeout` says that the
    caller has waited enough, not that the call is undone. A supervisor that does not answer raises `SupervisorDown`.

    Divergence from OTP: `stop` does not wait behind a start in progress, it ends it. A detached supervisor that gives
    up is restarted by Ray, its parent, without a limit. Exits are noticed and restarts go on while a call is served.
    `terminate_child` and `which_child` take a child under every strategy.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def name(self) -> str:
        """The name that it is registered under."""
        return self._link.name

    @property
    def address(self) -> Address:
        """Its process, for `monitor`, which takes the handle as well."""
        if isinstance(self._link, local_supervisor.LocalLink):
            return self._link.address
        link: Any = self._link  # Ray's, whose module is imported only where supervisors of actors are
        return Address(link.name, link._namespace, link._handle._actor_id.hex())

    @classmethod
    async def start(
        cls,
        *,
        strategy: Strategy = "one_for_one",
        max_restarts: int | None = None,
        max_seconds: float = 5.0,
        children: Iterable[ChildSpec] = (),
        auto_shutdown: AutoShutdown = "never",
        max_children: int | None = None,
        counts: Callable[[Exit], bool] | None = None,
        node_beat: NodeBeat | None = None,
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
            auto_shutdown: See `SupervisorSpec`.
            max_children: See `SupervisorSpec`.
            counts: See `SupervisorSpec`.
            node_beat: See `SupervisorSpec`.
            backend: `"ray"`: supervisor and children are Ray actors. `"local"`: they are objects of this process,
                on the running event loop; see `local_ref` for how to reach a child.
            name: Registers it, and heads its children's names; None makes a unique one.
            namespace: Where the names of the supervisor and of all below it are registered.
            detached: Under Ray, it outlives its creator and is restarted by Ray; otherwise it dies with the calling
                process, or when the last handle is dropped. A local one runs until it is stopped.
            options: Passed to Ray's `.options()` for the supervisor's own actor.
            timeout_s: Seconds to wait for all of this; when they are over the supervisor is killed.

        Raises:
            BadSpec: A value is not accepted.
            AlreadyStarted: The name is taken.
            FailedToStartChild: A child did not start.
            CallTimeout: Time ran out.
        """
        spec = SupervisorSpec(
            strategy=strategy, max_restarts=max_restarts, max_seconds=max_seconds, children=tuple(children),
            auto_shutdown=auto_shutdown, max_children=max_children, counts=counts, node_beat=node_beat,
        )  # fmt: skip
        _check_backend(backend)
        if name is not None:
            check_text("name", name)
        check_text("namespace", namespace)
        if backend == "local":
            if detached or options:
                raise BadSpec("detached and options go with backend='ray' only; leave them out.")
            return cls(await local_supervisor.start(spec, name=name, namespace=namespace, timeout_s=timeout_s))
        if detached and name is None:
            raise BadSpec("detached=True needs a name, or nobody could find the supervisor again; give name=….")
        from supervisors import ray_supervisor

        return cls(
            await ray_supervisor.start(
                spec, name=name, namespace=namespace, detached=detached, options=options or {}, timeout_s=timeout_s
            )
        )

    @classmethod
    async def find(cls, name: str, namespace: str = "supervisors", *, backend: str = "ray") -> Supervisor:
        """A running supervisor by its registered name; with `backend="local"` one of the running event loop.

        Raises:
            SupervisorDown: There is none.
        """
        _check_backend(backend)
        if backend == "local":
            return cls(local_supervisor.find(name, namespace))
        from supervisors import ray_supervisor

        return cls(await ray_supervisor.find(name, namespace))

    @classmethod
    async def of(cls, child: Child) -> Supervisor:
        """A nested supervisor, as `start_child` or `which_children` of its parent answered it.

        Raises:
            SupervisorDown: That incarnation is gone.
        """
        return await cls.find(child.name, child.namespace, backend="local" if child.node == LOCAL else "ray")

    async def start_child(
        self, spec: ChildSpec | None = None, *, args: Iterable[Any] = (), timeout_s: float | None = None
    ) -> Child | None:
        """Add a specification and start its child, in the last place.

        Args:
            spec: What to start; none under `simple_one_for_one`, which has its template.
            args: Under `simple_one_for_one`, what comes after the template's arguments.
            timeout_s: Seconds that the caller waits.

        Returns:
            The child; None if its start said `IGNORE`.

        Raises:
            AlreadyStarted: A child of that id runs.
            AlreadyPresent: The id is taken by a child that does not run, or is restarting.
            MaxChildren: There are as many as there may be.
            BadSpec: The specification does not go with this supervisor.
            StartError: The child's own start failed; its specification is not kept.
        """
        request = m.StartFromTemplate(tuple(args)) if spec is None else m.StartChild(spec)
        return cast("Child | None", await self._call(request, timeout_s))

    async def terminate_child(self, child: str | Child, *, timeout_s: float | None = None) -> None:
        """Stop a child, also one that is restarting; fine if it is stopped. A temporary one's specification goes.

        Args:
            child: Its id, whoever runs under it; or the child itself, which alone will do where children are started on
                demand. One that was restarted since is another child.
            timeout_s: Seconds that the caller waits.

        Raises:
            ChildNotFound: There is no such child.
            NotForDynamic: An id was given where children are started on demand.
        """
        await self._call(m.TerminateChild(child), timeout_s)

    async def restart_child(self, id: str, *, timeout_s: float | None = None) -> Child | None:  # noqa: A002
        """Start a child that was terminated; None if its start said `IGNORE`.

        Raises:
            Running: It runs.
            Restarting: It is being restarted.
            ChildNotFound: There is none of that id.
            NotForDynamic: Children are started on demand here.
            StartError: Its start failed; the specification stays.
        """
        return cast("Child | None", await self._call(m.RestartChild(id), timeout_s))

    async def delete_child(self, id: str, *, timeout_s: float | None = None) -> None:  # noqa: A002
        """Remove the specification of a child that was terminated.

        Raises:
            Running: It runs.
            Restarting: It is being restarted.
            ChildNotFound: There is none of that id.
            NotForDynamic: Children are started on demand here.
        """
        await self._call(m.DeleteChild(id), timeout_s)

    async def which_children(self, *, timeout_s: float | None = None) -> list[ChildInfo]:
        """The children, newest first."""
        return cast(list[ChildInfo], await self._call(m.WhichChildren(), timeout_s))

    async def which_child(self, child: str | Child, *, timeout_s: float | None = None) -> ChildInfo:
        """One of them.

        Args:
            child: As for `terminate_child`.
            timeout_s: Seconds that the caller waits.

        Raises:
            ChildNotFound: There is no such child.
            NotForDynamic: An id was given where children are started on demand.
        """
        return cast(ChildInfo, await self._call(m.WhichChild(child), timeout_s))

    async def update_specs(self, spec: SupervisorSpec, *, timeout_s: float | None = None) -> None:
        """Other specifications and options from now on, as OTP's `code_change`.

        Children that stay are not touched until their next restart, new ones are not started (`restart_child` does),
        removed ones go on running.

        Raises:
            BadSpec: Children are started on demand here and not there, or the other way.
        """
        await self._call(m.UpdateSpecs(spec), timeout_s)

    async def count_children(self, *, timeout_s: float | None = None) -> Counts:
        """How many specifications, running children, supervisors and workers there are."""
        return cast(Counts, await self._call(m.CountChildren(), timeout_s))

    async def tree(self, *, timeout_s: float | None = None) -> TreeNode:
        """The supervisor and all below it as nested plain dicts: see `Server.tree`."""
        return await self._link.tree(timeout_s)

    def events(self) -> AsyncIterator[Happening]:
        """What happens to its children from now on, oldest first; it ends with the supervisor.

        At most 1,024 wait for a reader; what it has lost beyond that is counted in the iterator's `dropped`. Those
        of a nested supervisor are told by its own `events`.
        """
        return self._link.events()

    async def stop(self, *, timeout_s: float | None = None) -> None:
        """Stop the children in reverse, then the supervisor; returns when the processes are gone, or were already."""
        await self._link.stop(timeout_s)

    async def _call(self, request: m.Request, timeout_s: float | None) -> Any:
        answer = await self._link.call(request, timeout_s)
        if isinstance(answer, SupervisorError):
            raise answer
        return answer


def _check_backend(backend: str) -> None:
    if backend not in BACKENDS:
        raise BadSpec(f"backend={backend!r} is not known; accepted: {', '.join(map(repr, BACKENDS))}.")
