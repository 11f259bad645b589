"""What goes into the core (events), what comes out (effects), and what callers ask (requests).

An `id` in an event or effect is the child's key within its supervisor: its specification's id, or, where children are
started on demand and ids need not differ, a number as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from supervisors.child import Child
from supervisors.errors import SupervisorError
from supervisors.exits import Exit
from supervisors.spec import ChildSpec, Shutdown, SupervisorSpec


@dataclass(frozen=True, slots=True)
class StartChild:
    """Add a specification and start its child. Answers the `Child`, or None if it said `ignore`."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class StartFromTemplate:
    """Start a child of a `simple_one_for_one` supervisor: these arguments come after the template's."""

    args: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class TerminateChild:
    """Stop a child: by its id, or where children are started on demand by itself. Answers None."""

    child: str | Child


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
class WhichChild:
    """One of them: by its id, or where children are started on demand by itself. Answers its `ChildInfo`."""

    child: str | Child


@dataclass(frozen=True, slots=True)
class CountChildren:
    """Count the children. Answers `Counts`."""


@dataclass(frozen=True, slots=True)
class UpdateSpecs:
    """Other specifications and options from now on (OTP's `code_change`). Answers None."""

    spec: SupervisorSpec


Request = (
    StartChild
    | StartFromTemplate
    | TerminateChild
    | RestartChild
    | DeleteChild
    | WhichChildren
    | WhichChild
    | CountChildren
    | UpdateSpecs
)


@dataclass(frozen=True, slots=True)
class Init:
    """The supervisor begins: start its children.

    `found` are the living children of its former life, by key, each with the number of its instance: those are not
    started, but taken over. `lost` says how others ended meanwhile, where that is known.
    """

    found: Mapping[str, tuple[int, Child]] = field(default_factory=dict)
    lost: Mapping[str, Exit] = field(default_factory=dict)


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
class Ignored:
    """A start said `ignore`: there is no process, and nothing is wrong."""

    id: str
    instance: int


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


Event = Init | Call | Stop | Started | Ignored | StartFailed | Exited | TryAgain


@dataclass(frozen=True, slots=True)
class Start:
    """Start this child; ends in `StartFailed` or `Ignored`, or in `Started` and later `Exited`."""

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
    """Send `TryAgain` after so many seconds; with 0, after the events that are waiting now.

    `jitter` is the share of them that chance may add.
    """

    id: str
    instance: int
    after_s: float = 0.0
    jitter: float = 0.0


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
