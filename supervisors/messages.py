"""What goes into the core (events), what comes out (effects), and what callers ask (requests)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from supervisors.child import Child
from supervisors.errors import SupervisorError
from supervisors.exits import Exit
from supervisors.spec import ChildSpec, Shutdown


@dataclass(frozen=True, slots=True)
class StartChild:
    """Add a specification and start its child. Answers the `Child`."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class TerminateChild:
    """Stop a child; a permanent one's specification stays. Answers None."""

    id: str


@dataclass(frozen=True, slots=True)
class RestartChild:
    """Start a child that was terminated. Answers the `Child`."""

    id: str


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """Remove the specification of a child that does not run. Answers None."""

    id: str


@dataclass(frozen=True, slots=True)
class WhichChildren:
    """List the children, newest first. Answers a list of `ChildInfo`."""


@dataclass(frozen=True, slots=True)
class CountChildren:
    """Count the children. Answers `Counts`."""


Request = StartChild | TerminateChild | RestartChild | DeleteChild | WhichChildren | CountChildren


@dataclass(frozen=True, slots=True)
class Init:
    """The supervisor begins: start its children."""


@dataclass(frozen=True, slots=True)
class Call:
    """Someone asks; `ref` finds the one who waits for the answer."""

    ref: int
    request: Request


@dataclass(frozen=True, slots=True)
class Stop:
    """The supervisor is asked to stop."""

    reason: Exit


@dataclass(frozen=True, slots=True)
class Started:
    """A start succeeded."""

    id: str
    instance: int
    child: Child


@dataclass(frozen=True, slots=True)
class StartFailed:
    """A start failed and nothing of it is left."""

    id: str
    instance: int
    reason: Exit


@dataclass(frozen=True, slots=True)
class Exited:
    """A child that had started is gone, by itself or because it was stopped."""

    id: str
    instance: int
    reason: Exit


@dataclass(frozen=True, slots=True)
class TryAgain:
    """A `Retry` has come round."""

    id: str
    instance: int


Event = Init | Call | Stop | Started | StartFailed | Exited | TryAgain


@dataclass(frozen=True, slots=True)
class Start:
    """Start this child; ends in `StartFailed`, or in `Started` and later `Exited`."""

    id: str
    instance: int
    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class StopChild:
    """Stop this instance; ends in `Exited`, or `StartFailed` if it had not started."""

    id: str
    instance: int
    shutdown: Shutdown


@dataclass(frozen=True, slots=True)
class Retry:
    """Send `TryAgain` after so many seconds; with 0, after the events that are waiting now."""

    id: str
    instance: int
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a call; an error is an answer too."""

    ref: int
    answer: Any  # each request names its own


@dataclass(frozen=True, slots=True)
class Ready:
    """All children have started."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The supervisor is over, no child is left. `error`: why it never came up; `gave_up`: too many restarts."""

    reason: Exit
    error: SupervisorError | None = None
    gave_up: bool = False


Effect = Start | StopChild | Retry | Reply | Ready | Leave
