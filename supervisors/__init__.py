"""OTP supervision for Ray actors.

Start your actors under a supervisor; it restarts what dies, and gives up to its own supervisor when that happens too
often. It needs Ray and nothing else, and imports Ray only when a supervisor is started or found.

Reading order: `core` is the heart, a pure reducer with OTP's rules, and `calls` its table of calls; `state` is what
they change, `messages` their events and effects; `spec` what to supervise; `intensity` the restart window, `backoff`
the waits; `process` what a child may inherit; `server` runs the core in a loop over a `backend`: in `local_backend`
children are objects of this process, in `ray_backend` Ray actors; `supervisor` is what you hold.
"""

from __future__ import annotations

from supervisors.address import Address
from supervisors.backoff import Backoff
from supervisors.child import Child, ChildInfo, Counts
from supervisors.errors import (
    AlreadyPresent,
    AlreadyRegistered,
    AlreadyStarted,
    BadSpec,
    CallTimeout,
    ChildCrashed,
    ChildGone,
    ChildNotFound,
    FailedToStartChild,
    MaxChildren,
    NoMembers,
    NotAProcess,
    NotBeating,
    NotForDynamic,
    NotJoined,
    NotRegistered,
    NotStarted,
    NotYourMonitor,
    RegistryDown,
    Restarting,
    Running,
    StaleEpoch,
    StartError,
    SupervisorDown,
    SupervisorError,
    SupervisorStopping,
    UnknownMethod,
)
from supervisors.exits import Exit
from supervisors.groups import Groups
from supervisors.happenings import Happenings
from supervisors.heartbeats import Heartbeat, NodeBeat
from supervisors.local_ref import LocalRef, local_ref
from supervisors.monitors import Watcher, monitor
from supervisors.observe import Happening
from supervisors.partitions import PartitionedSupervisor
from supervisors.process import IGNORE, Process
from supervisors.registry import Registry, Via, keeper_spec
from supervisors.render import render
from supervisors.signals import Down, MonitorRef
from supervisors.spec import BRUTAL_KILL, INFINITY, ChildSpec, SupervisorSpec
from supervisors.supervisor import Supervisor

__all__ = [
    "BRUTAL_KILL",
    "IGNORE",
    "INFINITY",
    "Address",
    "AlreadyPresent",
    "AlreadyRegistered",
    "AlreadyStarted",
    "Backoff",
    "BadSpec",
    "CallTimeout",
    "Child",
    "ChildCrashed",
    "ChildGone",
    "ChildInfo",
    "ChildNotFound",
    "ChildSpec",
    "Counts",
    "Down",
    "Exit",
    "FailedToStartChild",
    "Groups",
    "Happening",
    "Happenings",
    "Heartbeat",
    "LocalRef",
    "MaxChildren",
    "MonitorRef",
    "NoMembers",
    "NodeBeat",
    "NotAProcess",
    "NotBeating",
    "NotForDynamic",
    "NotJoined",
    "NotRegistered",
    "NotStarted",
    "NotYourMonitor",
    "PartitionedSupervisor",
    "Process",
    "Registry",
    "RegistryDown",
    "Restarting",
    "Running",
    "StaleEpoch",
    "StartError",
    "Supervisor",
    "SupervisorDown",
    "SupervisorError",
    "SupervisorSpec",
    "SupervisorStopping",
    "UnknownMethod",
    "Via",
    "Watcher",
    "keeper_spec",
    "local_ref",
    "monitor",
    "render",
]
