"""OTP supervision for Ray actors.

Start your actors under a supervisor; it restarts what dies, and gives up to its own supervisor when that happens too
often. It needs Ray and nothing else, and imports Ray only when a supervisor is started or found.

Reading order: `core` is the heart, a pure reducer with OTP's rules, and `calls` its table of calls; `state` is what
they change, `messages` their events and effects; `spec` what to supervise; `intensity` the restart window, `backoff`
the waits; `process` what a child may inherit; `server` runs the core in a loop over a `backend`: in `local_backend`
children are objects of this process, in `ray_backend` Ray actors; `supervisor` is what you hold.
"""

from __future__ import annotations

from supervisors.backoff import Backoff
from supervisors.child import Child, ChildInfo, Counts
from supervisors.errors import (
    AlreadyPresent,
    AlreadyStarted,
    BadSpec,
    CallTimeout,
    ChildNotFound,
    FailedToStartChild,
    MaxChildren,
    NotForDynamic,
    Restarting,
    Running,
    StartError,
    SupervisorDown,
    SupervisorError,
    SupervisorStopping,
)
from supervisors.exits import Exit
from supervisors.process import IGNORE, Process
from supervisors.spec import BRUTAL_KILL, INFINITY, ChildSpec, SupervisorSpec
from supervisors.supervisor import Supervisor

__all__ = [
    "BRUTAL_KILL",
    "IGNORE",
    "INFINITY",
    "AlreadyPresent",
    "AlreadyStarted",
    "Backoff",
    "BadSpec",
    "CallTimeout",
    "Child",
    "ChildInfo",
    "ChildNotFound",
    "ChildSpec",
    "Counts",
    "Exit",
    "FailedToStartChild",
    "MaxChildren",
    "NotForDynamic",
    "Process",
    "Restarting",
    "Running",
    "StartError",
    "Supervisor",
    "SupervisorDown",
    "SupervisorError",
    "SupervisorSpec",
    "SupervisorStopping",
]
