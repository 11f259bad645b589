"""Every error of this package: one tree, each with a stable code and a sentence that says what to do next.

Errors travel between processes as answers, so two with the same fields are equal.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, ClassVar

from supervisors.child import Child
from supervisors.exits import Exit

if TYPE_CHECKING:
    from supervisors.entries import Holder


class SupervisorError(Exception):
    """The root of the tree."""

    code: ClassVar[str] = "supervisor_error"
    retryable: ClassVar[bool] = False

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.args == other.args

    def __hash__(self) -> int:
        return hash((type(self), self.args))


class BadSpec(SupervisorError, ValueError):
    """A specification or an option with a value that is not accepted; the sentence lists what is."""

    code = "bad_spec"


class AlreadyStarted(SupervisorError):
    """A child of that id runs, or a supervisor of that name; `child` is the running child, if it is one."""

    code = "already_started"

    def __init__(self, id: str, child: Child | None) -> None:  # noqa: A002
        super().__init__(id, child)
        self.id, self.child = id, child

    def __str__(self) -> str:
        return f"{self.id!r} is already running. Use the one that runs, or terminate it first."


class _AboutChild(SupervisorError):
    sentence: ClassVar[str]

    def __init__(self, id: str) -> None:  # noqa: A002
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return self.sentence.format(self.id)


class AlreadyPresent(_AboutChild):
    """The id is taken by a specification whose child does not run."""

    code = "already_present"
    sentence = "There is a specification {!r} whose child is not running. Call restart_child, or delete_child first."


class Running(_AboutChild):
    """The call needs a child that does not run."""

    code = "running"
    sentence = "Child {!r} is running. Call terminate_child first."


class Restarting(_AboutChild):
    """The call needs a child that is not being restarted."""

    code = "restarting"
    sentence = "Child {!r} is being restarted. Call terminate_child to end that, or wait."
    retryable = True


class ChildNotFound(_AboutChild):
    """No specification has that id."""

    code = "not_found"
    sentence = "There is no child {!r}. which_children lists those that exist."


class MaxChildren(SupervisorError):
    """The supervisor has as many children as it may have."""

    code = "max_children"
    retryable = True

    def __init__(self, max_children: int) -> None:
        super().__init__(max_children)
        self.max_children = max_children

    def __str__(self) -> str:
        return f"There are {self.max_children} children already. Terminate one, or wait until one ends."


class NotForDynamic(SupervisorError):
    """The call is about specifications by id, and this supervisor starts children on demand."""

    code = "simple_one_for_one"

    def __init__(self, strategy: str) -> None:
        super().__init__(strategy)
        self.strategy = strategy

    def __str__(self) -> str:
        return (
            f"A supervisor of strategy {self.strategy!r} knows its children by themselves, not by ids. "
            "Call terminate_child with the Child that start_child gave, and start a new one instead of restarting it."
        )


class StartError(SupervisorError):
    """The child's own start failed; `reason` says how."""

    code = "start_failed"

    def __init__(self, id: str, reason: Exit) -> None:  # noqa: A002
        super().__init__(id, reason)
        self.id, self.reason = id, reason

    def __str__(self) -> str:
        return f"Child {self.id!r} did not start ({self.reason}). Correct its class or arguments and start it again."


class FailedToStartChild(StartError):
    """The supervisor did not start because this child did not; those started before it were stopped."""

    code = "failed_to_start_child"

    def __str__(self) -> str:
        return f"The supervisor did not start, because child {self.id!r} failed ({self.reason}). Correct that child."


class SupervisorStopping(SupervisorError):
    """The supervisor is stopping and serves no more calls."""

    code = "shutdown"

    def __str__(self) -> str:
        return "The supervisor is stopping. Find the one that its parent starts in its place, or start a new one."


class SupervisorDown(SupervisorError):
    """No supervisor of that name answers."""

    code = "noproc"
    retryable = True

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name, detail)
        self.name, self.detail = name, detail

    def __str__(self) -> str:
        because = f" ({self.detail})" if self.detail else ""
        return f"No supervisor {self.name!r} answers{because}. Find it again, or start it."


class CallTimeout(SupervisorError):
    """The caller's time ran out; the call stays in the supervisor's queue and may still happen."""

    code = "timeout"
    retryable = True

    def __init__(self, name: str, timeout_s: float) -> None:
        super().__init__(name, timeout_s)
        self.name, self.timeout_s = name, timeout_s

    def __str__(self) -> str:
        return (
            f"Supervisor {self.name!r} did not answer within {self.timeout_s:g} s; the call may still be served. "
            "Look with which_children before you repeat it."
        )


class ChildGone(SupervisorError):
    """The child is over, or ended while it served the call; `reason` says how, `noproc` if it was gone before."""

    code = "noproc"
    retryable = True

    def __init__(self, name: str, reason: Exit) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"Child {self.name!r} is gone ({self.reason}). Ask its supervisor for the one that runs in its place."


class ChildCrashed(SupervisorError):
    """The call made the child crash; `reason` names the exception, which is also the cause of this error."""

    code = "crash"

    def __init__(self, name: str, reason: Exit) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return (
            f"Child {self.name!r} did not survive the call ({self.reason}). Correct what was sent to it, or its class; "
            "its supervisor restarts it if its specification says so."
        )


class UnknownMethod(SupervisorError, AttributeError):
    """The child has no method of that name; it lives on."""

    code = "unknown_method"

    def __init__(self, child: str, method: str) -> None:
        super().__init__(child, method)
        self.child, self.method = child, method

    def __str__(self) -> str:
        return f"Child {self.child!r} has no method {self.method!r}. Call one that its class has."


class AlreadyRegistered(SupervisorError):
    """The unique key is held by a living process, `holder`; it may be the one that asks."""

    code = "already_registered"

    def __init__(self, key: Hashable, holder: Holder) -> None:
        super().__init__(key, holder)
        self.key, self.holder = key, holder

    def __str__(self) -> str:
        return f"{self.key!r} is registered by {self.holder}. Call the holder, or register under another key."


class StaleEpoch(SupervisorError):
    """The process that registers is over, or a later life of it has registered: it may hold nothing any more."""

    code = "stale_epoch"

    def __init__(self, process: str, epoch: int, floor: int) -> None:
        super().__init__(process, epoch, floor)
        self.process, self.epoch, self.floor = process, epoch, floor

    def __str__(self) -> str:
        return (
            f"Epoch {self.epoch} of process {self.process!r} is over; {self.floor} is the first that may register. "
            "Stop this process: another one has taken its place, or will."
        )


class NotRegistered(SupervisorError):
    """The process has no entry under that key, or nobody has."""

    code = "not_registered"

    def __init__(self, key: Hashable) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"There is no such entry: {self.key!r}. Register it first, or look again: its process may have ended."


class NotJoined(SupervisorError):
    """The process is no member of the group."""

    code = "not_joined"

    def __init__(self, group: Hashable, process: str) -> None:
        super().__init__(group, process)
        self.group, self.process = group, process

    def __str__(self) -> str:
        return f"{self.process!r} is no member of group {self.group!r}. Join before you leave."


class NoMembers(SupervisorError):
    """The group has nobody who could take the message."""

    code = "no_members"
    retryable = True

    def __init__(self, group: Hashable, to: str) -> None:
        super().__init__(group, to)
        self.group, self.to = group, to

    def __str__(self) -> str:
        return f"Group {self.group!r} has no member for {self.to!r}. Let one join, or wait until one does."


class RegistryDown(SupervisorError):
    """No registry of that name answers; what is known here can still be looked up."""

    code = "registry_down"
    retryable = True

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name, detail)
        self.name, self.detail = name, detail

    def __str__(self) -> str:
        because = f" ({self.detail})" if self.detail else ""
        return f"Registry {self.name!r} does not answer{because}. Start it under a supervisor, or try again."


class NotBeating(SupervisorError):
    """A process that should be watched has no pulse."""

    code = "not_beating"

    def __init__(self, pid: int, detail: str) -> None:
        super().__init__(pid, detail)
        self.pid, self.detail = pid, detail

    def __str__(self) -> str:
        return f"Process {self.pid} cannot be watched ({self.detail}). Call supervisors.pulse.begin in it first."


class NotStarted(SupervisorError, RuntimeError):
    """The process has no life yet: nobody has started it."""

    code = "not_started"

    def __init__(self, process: str) -> None:
        super().__init__(process)
        self.process = process

    def __str__(self) -> str:
        return f"{self.process!r} has not been started. Start it under a supervisor, then link or monitor from within."


class NotAProcess(SupervisorError, TypeError):
    """What was named takes no signals, or cannot be watched."""

    code = "not_a_process"

    def __init__(self, other: str, accepted: str) -> None:
        super().__init__(other, accepted)
        self.other, self.accepted = other, accepted

    def __str__(self) -> str:
        return f"{self.other} is no process that this call accepts. {self.accepted}"


class NotYourMonitor(SupervisorError):
    """A monitor is given up by the process that made it."""

    code = "not_your_monitor"

    def __init__(self, watcher: str) -> None:
        super().__init__(watcher)
        self.watcher = watcher

    def __str__(self) -> str:
        return f"The monitor belongs to {self.watcher!r}. Call demonitor there."
