"""The orphan sweep, with real processes: marked in the environment, in the pulse, with children of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from supervisors.orphans import Identity, Mark, Owner, World, identity_of, marked_processes, sweep
from supervisors.pulse import Pulse

CODE = """
import os, subprocess, sys
if "pulse" in sys.argv:
    from supervisors import pulse
    mark = os.environ.pop("SUPERVISORS_MARK")
    pulse.begin(mark=mark.encode())
helper = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(helper.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module", autouse=True)
def cluster() -> None:
    """No Ray is needed here."""


@pytest.fixture
def name() -> str:
    """A cluster's id that nobody else has."""
    return f"test-{uuid.uuid4()}"


class Nursery:
    """Starts marked processes, each with a helper in its own group."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def start(self, mark: Mark, *args: str) -> tuple[int, int]:
        """The process and its helper."""
        root = str(Path(__file__).parents[3])
        process = subprocess.Popen(
            [sys.executable, "-c", CODE, *args],
            env=os.environ | mark.environment() | {"PYTHONPATH": root},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        assert process.stdout is not None
        helper = psutil.Process(int(process.stdout.readline()))
        self._stack.callback(end, helper)
        return process.pid, helper.pid


def end(process: psutil.Process) -> None:
    """Kill it if it is there."""
    with suppress(psutil.NoSuchProcess):
        process.kill()


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    """Ends what the sweep has spared."""
    with ExitStack() as stack:
        yield Nursery(stack)


def world(name: str, epoch: int = 2, **more: frozenset[Identity]) -> World:
    """One owner in its second life."""
    return World(name, {"o": Owner(epoch, frozenset({epoch}))}, **more)


def lives(*pids: int) -> bool:
    """Whether they all do."""
    return all(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids)


@pytest.mark.parametrize("args", [(), ("pulse",)], ids=["environment", "pulse"])
def test_an_orphan_goes_with_its_group(nursery: Nursery, name: str, args: tuple[str, ...]) -> None:
    """A helper that carries no mark is of the same group; it is gone before the sweep returns."""
    pid, helper = nursery.start(Mark(name, "o", 1), *args)
    assert pid in [each.identity.pid for each in sweep(world(name))]
    assert not lives(pid)
    assert not lives(helper)


def test_what_has_an_owner_a_lease_or_another_cluster_is_spared(nursery: Nursery, name: str) -> None:
    """One sweep, and every reason to live."""
    owned, owned_helper = nursery.start(Mark(name, "o", 2))
    leased, leased_helper = nursery.start(Mark(name, "o", 1))
    foreign, foreign_helper = nursery.start(Mark(f"{name}-another", "o", 1))
    orphan, _ = nursery.start(Mark(name, "o", 1))
    swept = sweep(world(name, leased=frozenset({identity_of(leased), identity_of(leased_helper)})))
    assert orphan in [each.identity.pid for each in swept]
    assert lives(owned, owned_helper, leased, leased_helper, foreign, foreign_helper)


def test_an_adopted_process_is_spared_with_all_that_it_had_started(nursery: Nursery, name: str) -> None:
    """Whoever adopts it writes a new mark into its pulse; the environment keeps the old one."""
    pid, helper = nursery.start(Mark(name, "o", 1), "pulse")
    pulse = Pulse(pid)
    pulse.write_mark(Mark(name, "o", 2).encode())
    pulse.close()
    assert sweep(world(name)) == []
    assert lives(pid, helper)


def test_a_helper_that_outlived_its_process_is_swept(nursery: Nursery, name: str) -> None:
    """It inherited the mark by the environment."""
    pid, helper = nursery.start(Mark(name, "o", 1))
    psutil.Process(pid).kill()
    psutil.wait_procs([psutil.Process(pid)], timeout=10)
    assert [each.identity.pid for each in sweep(world(name))] == [helper]
    assert not lives(helper)


def test_a_reused_number_is_another_process(nursery: Nursery, name: str) -> None:
    """A lease of an earlier process of that number protects nobody: the start time differs."""
    pid, _ = nursery.start(Mark(name, "o", 1))
    earlier = Identity(pid, identity_of(pid).started - 1)
    assert pid in [each.identity.pid for each in sweep(world(name, leased=frozenset({earlier})))]


def test_the_sweeper_spares_itself(nursery: Nursery, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run by a process that carries the mark itself, as a restarted supervisor may."""
    code = (
        "from supervisors.orphans import *; "
        f"print(len(sweep(World({name!r}, {{'o': Owner(2, frozenset({{2}}))}}))), len(marked_processes()) > 0)"
    )
    monkeypatch.chdir(Path(__file__).parents[3])
    env = os.environ | Mark(name, "o", 1).environment()
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True"]


def test_a_process_without_a_mark_is_none_of_ours(name: str) -> None:
    """Whatever its name."""
    assert os.getpid() not in [each.identity.pid for each in marked_processes()]


def test_there_is_no_identity_of_what_does_not_exist() -> None:
    """The number above the system's highest."""
    with pytest.raises(ProcessLookupError):
        identity_of(2**22 + 1)
