"""When hosts are started again, and what counts against their supervisor."""

from __future__ import annotations

from collections.abc import Iterable

from supervisors import Backoff, ChildSpec, Exit, SupervisorSpec

RESTART_PAUSE = Backoff(1.0, 30.0, jitter=0.1, reset_after_s=8.0)
"""A new process costs a second of CPU, which a standby that has just taken over needs for what waited. One that ends
before it was of use, 8 s, waits longer each time, so that it does not use up the intensity."""
EXPLAINED = frozenset({"normal", "shutdown", "node_lost"})


def unexplained(reason: Exit) -> bool:
    """Whether a host's end counts against its supervisor: that of its node does not, nor one that we asked for,
    nor when it left by itself, which it does when it has given everything away."""
    return reason.kind not in EXPLAINED


def hosts_supervisor(hosts: Iterable[ChildSpec]) -> SupervisorSpec:
    """The supervisor of the hosts."""
    return SupervisorSpec(max_restarts=20, max_seconds=10, counts=unexplained, children=tuple(hosts))
