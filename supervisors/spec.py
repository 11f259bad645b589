"""What to supervise and how: specifications, checked when they are made."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, Literal

from supervisors.errors import BadSpec

RestartType = Literal["permanent", "temporary"]
Shutdown = float | Literal["brutal_kill", "infinity"]
Strategy = Literal["one_for_one"]

BRUTAL_KILL: Final = "brutal_kill"
INFINITY: Final = "infinity"
RESTARTS: Final = ("permanent", "temporary")
STRATEGIES: Final = ("one_for_one",)
WORKER_SHUTDOWN_S: Final = 5.0
START_TIMEOUT_S: Final = 60.0
RESERVED_OPTIONS: Final = ("get_if_exists", "lifetime", "max_restarts", "max_task_retries", "name", "namespace")


def _one_of(where: str, value: object, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise BadSpec(f"{where}={value!r} is not known; accepted: {', '.join(map(repr, accepted))}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _seconds_or(where: str, value: object, words: tuple[str, ...], *, least: float = 0.0) -> None:
    if value in words or (_is_number(value) and value >= least):  # type: ignore[operator]
        return
    accepted = " or ".join((f"a number of seconds from {least:g}", *words))
    raise BadSpec(f"{where}={value!r} is not accepted; give {accepted}.")


@dataclass(frozen=True, slots=True)
class SupervisorSpec:
    """A supervisor: as the `start` of a `ChildSpec` it is a nested one.

    Args:
        strategy: `one_for_one`: only the child that died is restarted.
        max_restarts: Restarts that it may make within `max_seconds`; one more and it gives up. With 0 the first
            failure is fatal.
        max_seconds: The length of that window, in seconds.
        children: Started in this order, stopped in the reverse one.

    Raises:
        BadSpec: A value is not accepted, or two children share an id.
    """

    _: KW_ONLY
    strategy: Strategy = "one_for_one"
    max_restarts: int = 1
    max_seconds: float = 5.0
    children: tuple[ChildSpec, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "children", tuple(self.children))
        _one_of("strategy", self.strategy, STRATEGIES)
        if not isinstance(self.max_restarts, int) or isinstance(self.max_restarts, bool) or self.max_restarts < 0:
            raise BadSpec(f"max_restarts={self.max_restarts!r} is not accepted; give a whole number from 0.")
        if not _is_number(self.max_seconds) or self.max_seconds <= 0:
            raise BadSpec(f"max_seconds={self.max_seconds!r} is not accepted; give a number of seconds above 0.")
        for child in self.children:
            if not isinstance(child, ChildSpec):
                raise BadSpec(f"children takes ChildSpec values, not {type(child).__name__}.")
        twice = [id_ for id_, times in Counter(child.id for child in self.children).items() if times > 1]
        if twice:
            raise BadSpec(f"Two children have the id {twice[0]!r}; give each one of its own.")


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A child: what starts it, when it is restarted, how it is stopped.

    Args:
        id: Names it within its supervisor.
        start: An actor class, plain or made by `ray.remote`; or a `SupervisorSpec` for a nested supervisor.
        args: Positional arguments of the class.
        kwargs: Keyword arguments of the class.
        restart: `permanent` (always restarted) or `temporary` (never; its specification goes with it).
        shutdown: `"brutal_kill"`, seconds to wait between asking and killing, or `"infinity"`.
            None is 5 s for a worker, `"infinity"` for a supervisor. A class is asked by calling its method
            `terminate(reason)`, if it has one.
        kind: What `tree()` calls it; a nested supervisor is always `supervisor`.
        name: First part of its incarnations' names; None is the path of ids from the top.
        options: Passed to Ray's `.options()`: `num_cpus`, `resources`, `max_concurrency`, `runtime_env`, ….
        pass_name: Give the class its incarnation's name as the keyword argument `name`.
        start_timeout_s: Seconds until a start that has not finished is given up, or `"infinity"`.
            None is 60 for a worker, `"infinity"` for a supervisor.
        restart_delay_s: Seconds between an exit and the restart, so that a child that is expensive to start leaves
            the processor to those that take over its work. OTP has none.

    Raises:
        BadSpec: A value is not accepted.
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
    restart_delay_s: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "args", tuple(self.args))
        self._check_names()
        self._check_start()
        _one_of("restart", self.restart, RESTARTS)
        if self.shutdown is not None:
            _seconds_or("shutdown", self.shutdown, (BRUTAL_KILL, INFINITY))
        _seconds_or("restart_delay_s", self.restart_delay_s, ())
        if self.start_timeout_s is not None:
            _seconds_or("start_timeout_s", self.start_timeout_s, (INFINITY,), least=0.001)
        for option in RESERVED_OPTIONS:
            if option in self.options:
                raise BadSpec(f"options[{option!r}] is set by the supervisor itself; leave it out.")

    def _check_names(self) -> None:
        for where, value in (("id", self.id), ("kind", self.kind), ("name", self.name)):
            if not (isinstance(value, str) and value) and not (where == "name" and value is None):
                raise BadSpec(f"{where}={value!r} is not accepted; give a text of at least one character.")

    def _check_start(self) -> None:
        if isinstance(self.start, SupervisorSpec):
            if self.args or self.kwargs or self.pass_name:
                raise BadSpec(f"Child {self.id!r} starts a SupervisorSpec, which takes no args, kwargs or pass_name.")
        elif not isinstance(self.start, type) and not hasattr(self.start, "remote"):
            raise BadSpec(f"start={self.start!r} is not accepted; give a class, a Ray actor class or a SupervisorSpec.")

    @property
    def type(self) -> Literal["worker", "supervisor"]:
        """Whether the child is itself a supervisor."""
        return "supervisor" if isinstance(self.start, SupervisorSpec) else "worker"

    @property
    def modules(self) -> tuple[str, ...]:
        """The module of the child's class."""
        return (str(self.start.__module__),)

    @property
    def shutdown_or_default(self) -> Shutdown:
        """How the child is stopped, with the default of its type filled in."""
        if self.shutdown is not None:
            return self.shutdown
        return WORKER_SHUTDOWN_S if self.type == "worker" else INFINITY

    @property
    def start_timeout_or_none(self) -> float | None:
        """Seconds that a start may take, None for ever."""
        if self.start_timeout_s == INFINITY:
            return None
        if self.start_timeout_s is not None:
            return float(self.start_timeout_s)
        return START_TIMEOUT_S if self.type == "worker" else None
