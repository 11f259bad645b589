"""What to supervise and how: specifications, checked when they are made."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, Literal, Protocol, runtime_checkable

from supervisors.backoff import Backoff
from supervisors.entries import Keys
from supervisors.errors import BadSpec
from supervisors.exits import Exit
from supervisors.heartbeats import Heartbeat, NodeBeat

RestartType = Literal["permanent", "transient", "temporary"]
Shutdown = float | Literal["brutal_kill", "infinity"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one", "dynamic"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]

BRUTAL_KILL: Final = "brutal_kill"
INFINITY: Final = "infinity"
RESTARTS: Final = ("permanent", "transient", "temporary")
STRATEGIES: Final = ("one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one", "dynamic")
GROUP_STRATEGIES: Final = ("one_for_all", "rest_for_one")
DYNAMIC_STRATEGIES: Final = ("simple_one_for_one", "dynamic")
AUTO_SHUTDOWNS: Final = ("never", "any_significant", "all_significant")
TYPES: Final = ("worker", "supervisor")
WORKER_SHUTDOWN_S: Final = 5.0
START_TIMEOUT_S: Final = 60.0
RESERVED_OPTIONS: Final = ("get_if_exists", "lifetime", "max_restarts", "max_task_retries", "name", "namespace")


def _one_of(where: str, value: object, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise BadSpec(f"{where}={value!r} is not known; accepted: {', '.join(map(repr, accepted))}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(where: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadSpec(f"{where}={value!r} is not accepted; give a whole number from 0.")


def _flag(where: str, value: object) -> None:
    if not isinstance(value, bool):
        raise BadSpec(f"{where}={value!r} is not accepted; give True or False.")


def check_text(where: str, value: object) -> None:
    """Whether a value is a text of at least one character. Raises BadSpec."""
    if not isinstance(value, str) or not value:
        raise BadSpec(f"{where}={value!r} is not accepted; give a text of at least one character.")


def _listed(where: str, value: object) -> tuple[Any, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise BadSpec(f"{where}={value!r} is not accepted; give a tuple or a list.")
    return tuple(value)


def _named(where: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise BadSpec(f"{where}={value!r} is not accepted; give a mapping whose keys are texts.")
    return dict(value)


def _seconds_or(where: str, value: object, words: tuple[str, ...], *, least: float = 0.0) -> None:
    if value in words or (_is_number(value) and value >= least):  # type: ignore[operator]
        return
    accepted = " or ".join((f"a number of seconds from {least:g}", *words))
    raise BadSpec(f"{where}={value!r} is not accepted; give {accepted}.")


@runtime_checkable
class Name(Protocol):
    """A name in a registry: see `Via`, which is one."""

    @property
    def registry(self) -> str:
        """The registry's name."""
        ...

    @property
    def key(self) -> Hashable:
        """The key in it."""
        ...

    @property
    def value(self) -> Any:
        """What is found with it."""
        ...

    @property
    def keys(self) -> Keys:
        """Of which kind the registry's keys are."""
        ...

    def check(self, backend: Literal["local", "ray"]) -> None:
        """Whether children of that backend can have it. Raises BadSpec."""
        ...

    async def hold(self, who: Any) -> Any:  # what names a process is the backend's own
        """Give it to a process that does not have it. Raises what a registry does."""
        ...


@dataclass(frozen=True, slots=True)
class SupervisorSpec:
    """A supervisor: as the `start` of a `ChildSpec` it is a nested one.

    Args:
        strategy: Who is restarted when a child dies. `one_for_one`: it alone. `one_for_all`: all of them.
            `rest_for_one`: it and those started after it. `simple_one_for_one`: it alone; all children are made of
            one template, the only entry of `children`, and nothing starts at the beginning. `dynamic`: it alone; each
            child is started with a specification of its own, ids need not differ, and nothing starts at the beginning.
        max_restarts: Restarts that it may make within `max_seconds`; one more and it gives up. With 0 the first
            failure is fatal. None is 1, or 3 where children are started on demand.
        max_seconds: The length of that window, in seconds.
        children: Started in this order, stopped in the reverse one.
        auto_shutdown: Whether it stops when a significant child has ended by itself: `never`, `any_significant`, or
            `all_significant` (the last of them).
        max_children: How many children may be there at a time where they are started on demand; None is any number.
        counts: Whether an exit counts towards the intensity; None counts all. A function that can be imported.
        node_beat: When a node that is silent is lost, for Ray actors; None: after 1.5 s.

    Raises:
        BadSpec: A value is not accepted, two children share an id, or two values do not go together.
    """

    _: KW_ONLY
    strategy: Strategy = "one_for_one"
    max_restarts: int | None = None
    max_seconds: float = 5.0
    children: tuple[ChildSpec, ...] = ()
    auto_shutdown: AutoShutdown = "never"
    max_children: int | None = None
    counts: Callable[[Exit], bool] | None = None
    node_beat: NodeBeat | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "children", _listed("children", self.children))
        _one_of("strategy", self.strategy, STRATEGIES)
        _one_of("auto_shutdown", self.auto_shutdown, AUTO_SHUTDOWNS)
        if self.max_restarts is not None:
            _whole("max_restarts", self.max_restarts)
        if not _is_number(self.max_seconds) or self.max_seconds <= 0:
            raise BadSpec(f"max_seconds={self.max_seconds!r} is not accepted; give a number of seconds above 0.")
        if self.max_children is not None:
            _whole("max_children", self.max_children)
        if self.counts is not None and not callable(self.counts):
            raise BadSpec(f"counts={self.counts!r} is not accepted; give a function of an Exit, or None.")
        if self.node_beat is not None and not isinstance(self.node_beat, NodeBeat):
            raise BadSpec(f"node_beat={self.node_beat!r} is not accepted; give a NodeBeat, or None.")
        for child in self.children:
            if not isinstance(child, ChildSpec):
                raise BadSpec(f"children takes ChildSpec values, not {type(child).__name__}.")
        twice = [id_ for id_, times in Counter(child.id for child in self.children).items() if times > 1]
        if twice:
            raise BadSpec(f"Two children have the id {twice[0]!r}; give each one of its own.")
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.strategy == "simple_one_for_one" and len(self.children) != 1:
            raise BadSpec("strategy='simple_one_for_one' takes exactly one child specification, its template.")
        if self.strategy == "dynamic" and self.children:
            raise BadSpec("strategy='dynamic' takes no children at the start; add each with start_child.")
        if self.is_dynamic and self.auto_shutdown != "never":
            raise BadSpec(
                f"auto_shutdown={self.auto_shutdown!r} does not go with strategy={self.strategy!r}; use 'never'."
            )
        if self.max_children is not None and not self.is_dynamic:
            raise BadSpec(f"max_children does not go with strategy={self.strategy!r}; accepted with {_QUOTED_DYNAMIC}.")
        for child in self.children:
            self.check_child(child)

    def check_child(self, child: ChildSpec) -> None:
        """Whether the child goes with this supervisor. Raises BadSpec."""
        if not isinstance(child, ChildSpec):
            raise BadSpec(f"A child is given as a ChildSpec, not as {type(child).__name__}.")
        if child.significant and self.auto_shutdown == "never":
            raise BadSpec(
                f"Child {child.id!r} is significant, which does not go with auto_shutdown='never'; "
                "accepted: 'any_significant', 'all_significant'."
            )

    @property
    def is_dynamic(self) -> bool:
        """Whether children are started on demand."""
        return self.strategy in DYNAMIC_STRATEGIES

    @property
    def intensity(self) -> int:
        """`max_restarts`, with the default of the strategy filled in."""
        if self.max_restarts is not None:
            return self.max_restarts
        return 3 if self.is_dynamic else 1


_QUOTED_DYNAMIC = " and ".join(map(repr, DYNAMIC_STRATEGIES))


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A child: what starts it, when it is restarted, how it is stopped.

    Args:
        id: Names it within its supervisor.
        start: An actor class, plain or made by `ray.remote`; or a `SupervisorSpec` for a nested supervisor.
        args: Positional arguments of the class.
        kwargs: Keyword arguments of the class.
        restart: `permanent` (always restarted), `transient` (restarted unless it ended with `normal` or `shutdown`) or
            `temporary` (never; its specification goes with it).
        shutdown: `"brutal_kill"`, seconds to wait between asking and killing, or `"infinity"`.
            None is 5 s for a worker, `"infinity"` for a supervisor. A class is asked by calling its method
            `terminate(reason)`, if it has one.
        type: `worker` or `supervisor`; None is what `start` is. A class that is a supervisor of its own may say so.
        significant: Its own end may end its supervisor: see `auto_shutdown`.
        kind: What `tree()` calls it; a nested supervisor is always `supervisor`.
        name: First part of its incarnations' names; None is the path of ids from the top.
        options: Passed to Ray's `.options()`: `num_cpus`, `resources`, `max_concurrency`, `runtime_env`, ….
        pass_name: Give the class its incarnation's name as the keyword argument `name`.
        start_timeout_s: Seconds until a start that has not finished is given up, or `"infinity"`.
            None is 60 for a worker, `"infinity"` for a supervisor.
        backoff: How long to wait before a restart; None restarts at once, as OTP does.
        spares: How many processes to keep that are up and idle, one of which a start takes over in milliseconds: of a
            child that is declared as many of its own, constructed with its arguments. Where children are started on
            demand: as many for all whose specifications differ in `id`, `args` and `kwargs` alone, constructed for
            those without arguments of their own (beside a template's); for others `__init__` runs when one is taken.
            With `anti_affinity` they are spread over the nodes. Each is a process that takes memory.
        anti_affinity: Prefer the node that runs the fewest of its siblings.
        node_labels: Only nodes with these labels will do.
        heartbeat: When it is silent, and what the system says of its process shows that it hangs, it is killed and
            counts as `killed`. None: hanging is its own business, as in OTP. Only deaths are noticed then.
        via: A name in a registry, `registry.via(key, value)`: each incarnation has it before its start is over, and
            before its `init` begins; a start whose key is taken fails.

    Raises:
        BadSpec: A value is not accepted, or two do not go together.
    """

    id: str
    _: KW_ONLY
    start: Any  # a class, Ray's ActorClass (which is no type) or a SupervisorSpec
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    restart: RestartType = "permanent"
    shutdown: Shutdown | None = None
    kind: str = "worker"
    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    pass_name: bool = False
    start_timeout_s: float | Literal["infinity"] | None = None
    type: Literal["worker", "supervisor"] | None = None
    significant: bool = False
    backoff: Backoff | None = None
    spares: int = 0
    anti_affinity: bool = False
    node_labels: Mapping[str, str] = field(default_factory=dict)
    heartbeat: Heartbeat | None = None
    via: Name | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "args", _listed("args", self.args))
        for where in ("kwargs", "options", "node_labels"):
            object.__setattr__(self, where, _named(where, getattr(self, where)))
        for where in ("pass_name", "significant", "anti_affinity"):
            _flag(where, getattr(self, where))
        self._check_names()
        self._check_start()
        self._check_life()
        self._check_combinations()

    def _check_life(self) -> None:
        _one_of("restart", self.restart, RESTARTS)
        if self.shutdown is not None:
            _seconds_or("shutdown", self.shutdown, (BRUTAL_KILL, INFINITY))
        if self.type is not None:
            _one_of("type", self.type, TYPES)
        if self.backoff is not None and not isinstance(self.backoff, Backoff):
            raise BadSpec(f"backoff={self.backoff!r} is not accepted; give a Backoff, or None.")
        if self.heartbeat is not None and not isinstance(self.heartbeat, Heartbeat):
            raise BadSpec(f"heartbeat={self.heartbeat!r} is not accepted; give a Heartbeat, or None.")
        if self.via is not None and not isinstance(self.via, Name):
            raise BadSpec(f"via={self.via!r} is not accepted; give a name such as registry.via(key), or None.")
        _whole("spares", self.spares)
        if self.start_timeout_s is not None:
            _seconds_or("start_timeout_s", self.start_timeout_s, (INFINITY,), least=0.001)
        for option in RESERVED_OPTIONS:
            if option in self.options:
                raise BadSpec(f"options[{option!r}] is set by the supervisor itself; leave it out.")

    def _check_combinations(self) -> None:
        if self.significant and self.restart == "permanent":
            raise BadSpec(
                f"Child {self.id!r} is significant and permanent, and would never end by itself; "
                "accepted: 'transient', 'temporary'."
            )
        for where, value in (("spares", self.spares), ("backoff", self.backoff)):
            if value and self.restart == "temporary":
                raise BadSpec(
                    f"Child {self.id!r} is temporary and never restarted, which does not go with {where}; "
                    "accepted: 'permanent', 'transient'."
                )
        if self.spares and isinstance(self.start, SupervisorSpec):
            raise BadSpec(f"Child {self.id!r} starts a SupervisorSpec, which does not go with spares; accepted: 0.")
        if self.type == "worker" and isinstance(self.start, SupervisorSpec):
            raise BadSpec(f"Child {self.id!r} starts a SupervisorSpec and is no worker; accepted: 'supervisor'.")

    def _check_names(self) -> None:
        check_text("id", self.id)
        check_text("kind", self.kind)
        if self.name is not None:
            check_text("name", self.name)

    def _check_start(self) -> None:
        if isinstance(self.start, SupervisorSpec):
            if self.args or self.kwargs or self.pass_name:
                raise BadSpec(f"Child {self.id!r} starts a SupervisorSpec, which takes no args, kwargs or pass_name.")
        elif not isinstance(self.start, type) and not hasattr(self.start, "remote"):
            raise BadSpec(f"start={self.start!r} is not accepted; give a class, a Ray actor class or a SupervisorSpec.")

    @property
    def is_supervisor(self) -> bool:
        """Whether the child is itself a supervisor."""
        return self.type == "supervisor" or isinstance(self.start, SupervisorSpec)

    @property
    def modules(self) -> tuple[str, ...]:
        """The module of the child's class."""
        return (str(self.start.__module__),)

    @property
    def shutdown_or_default(self) -> Shutdown:
        """How the child is stopped, with the default of its type filled in."""
        if self.shutdown is not None:
            return self.shutdown
        return WORKER_SHUTDOWN_S if not self.is_supervisor else INFINITY

    @property
    def start_timeout_or_none(self) -> float | None:
        """Seconds that a start may take, None for ever."""
        if self.start_timeout_s == INFINITY:
            return None
        if self.start_timeout_s is not None:
            return float(self.start_timeout_s)
        return START_TIMEOUT_S if not self.is_supervisor else None
