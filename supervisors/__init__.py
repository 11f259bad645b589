"""OTP supervision for Ray actors.

Start your actors under a supervisor; it restarts what dies, and gives up to its own supervisor when that happens too
often. It needs Ray and nothing else, and imports Ray only when a supervisor is started or found.

Reading order: `core` is the heart, a pure reducer with OTP's rules; `messages` are its events and effects; `spec` what
to supervise; `intensity` the restart window; `server` runs the core in a loop over a `backend`; `ray_backend` makes
children Ray actors; `supervisor` is what you hold.
"""

from __future__ import annotations

from supervisors.child import Child, ChildInfo, Counts
from supervisors.errors import (
    AlreadyPresent,
    AlreadyStarted,
    BadSpec,
    CallTimeout,
    ChildNotFound,
    FailedToStartChild,
    Restarting,
    Running,
    StartError,
    SupervisorDown,
    SupervisorError,
    SupervisorStopping,
)
from supervisors.exits import Exit
from supervisors.spec import BRUTAL_KILL, INFINITY, ChildSpec, SupervisorSpec
from supervisors.supervisor import Supervisor

__all__ = [
    "BRUTAL_KILL",
    "INFINITY",
    "AlreadyPresent",
    "AlreadyStarted",
    "BadSpec",
    "CallTimeout",
    "Child",
    "ChildInfo",
    "ChildNotFound",
    "ChildSpec",
    "Counts",
    "Exit",
    "FailedToStartChild",
    "Restarting",
    "Running",
    "StartError",
    "Supervisor",
    "SupervisorDown",
    "SupervisorError",
    "SupervisorSpec",
    "SupervisorStopping",
]
