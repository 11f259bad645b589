"""What the package shows, and what it does not import."""

from __future__ import annotations

import asyncio
import doctest
import subprocess
import sys
from typing import Any

import pytest

import supervisors
from supervisors import BadSpec, Supervisor, intensity

EXPORTS = """
BRUTAL_KILL IGNORE INFINITY Address AlreadyPresent AlreadyRegistered AlreadyStarted Backoff BadSpec
CallTimeout Child ChildCrashed ChildGone ChildInfo ChildNotFound ChildSpec Counts Down Exit FailedToStartChild
Groups Happening Happenings Heartbeat LocalRef MaxChildren MonitorRef NoMembers NodeBeat NotAProcess NotBeating
NotForDynamic
NotJoined NotRegistered NotStarted NotYourMonitor PartitionedSupervisor Process Registry RegistryDown
Restarting Running StaleEpoch StartError Supervisor SupervisorDown SupervisorError SupervisorSpec
SupervisorStopping UnknownMethod Via Watcher keeper_spec local_ref monitor render
"""


def test_the_exports_are_these() -> None:
    """A change of the surface is a decision."""
    assert supervisors.__all__ == EXPORTS.split()


def test_importing_it_imports_neither_ray_nor_dspy_nor_the_product() -> None:
    """It stands on its own, and starting a supervisor's process is cheap."""
    code = "import supervisors, sys; print([m for m in ('ray', 'dspy', 'dspex_actors') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_core_imports_no_event_loop_and_no_clock() -> None:
    """Pure: everything it needs is given to it."""
    code = "import supervisors.core as c; print([n for n in ('ray', 'asyncio', 'time', 'random') if hasattr(c, n)])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_an_unknown_backend_is_refused_with_those_that_exist() -> None:
    """Before anything is started."""
    with pytest.raises(BadSpec, match="backend='moon' is not known; accepted: 'ray'"):
        asyncio.run(Supervisor.start(backend="moon"))


@pytest.mark.parametrize("options", [{"name": 3}, {"name": ""}, {"namespace": None}, {"namespace": ""}])
@pytest.mark.parametrize("backend", ["local", "ray"])
def test_a_name_is_a_text(options: dict[str, Any], backend: str) -> None:
    """So is a namespace."""
    ((option, value),) = options.items()
    with pytest.raises(BadSpec, match=f"{option}={value!r} is not accepted; give a text of at least one character"):
        asyncio.run(Supervisor.start(backend=backend, **options))


def test_a_detached_supervisor_needs_a_name() -> None:
    """Nobody could find it again."""
    with pytest.raises(BadSpec, match="detached=True needs a name"):
        asyncio.run(Supervisor.start(detached=True))


def test_the_examples_of_the_window_run() -> None:
    """Doctests."""
    assert doctest.testmod(intensity).failed == 0
