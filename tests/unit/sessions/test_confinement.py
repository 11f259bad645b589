"""The limits of a dedicated session's host."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
from pathlib import Path

import pytest

from dspex_actors.config import Settings
from dspex_actors.errors import InvalidRequest, NoCapacity
from dspex_actors.resources.session import Guest
from dspex_actors.sessions.confinement import EXIT_CODE, check_folder, confine, enter_group, watch_memory
from tests.unit.sessions.cgroups import PAGE_BYTES, Cgroups

GREEDY = """
import threading, time
from dspex_actors.config import Settings
from dspex_actors.resources.session import Guest
from dspex_actors.sessions.confinement import confine
confine("host#1", Guest("u", "ann", memory_mb=50), Settings())
kept = []
while True:
    kept.append(bytearray(b"x" * 5_000_000))
"""
EXHAUSTED = """
import os, time
from dspex_actors.config import Settings
from dspex_actors.resources.session import Guest
from dspex_actors.sessions.confinement import confine
confine("host#1", Guest("u", "ann", memory_mb=50), Settings())
try:
    while True:
        os.dup(0)
except OSError:
    time.sleep(0.3)
print("alive", flush=True)
"""
PINNED = """
import os, threading
from dspex_actors.config import Settings
from dspex_actors.resources.session import Guest
from dspex_actors.sessions.confinement import confine
here, go = threading.Event(), threading.Event()
found = []
other = threading.Thread(target=lambda: (here.set(), go.wait(), found.append(len(os.sched_getaffinity(0)))))
other.start()
here.wait()
confine("host#1", Guest("u", "ann", cpus=0.5), Settings())
go.set()
other.join()
print(found[0], len(os.sched_getaffinity(0)))
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, which may limit itself."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_a_process_that_takes_too_much_memory_ends() -> None:
    """By itself, with a code that says so."""
    assert run(GREEDY).returncode == EXIT_CODE


def test_every_thread_runs_on_so_many_processors() -> None:
    """Those that were there before too; a half is one."""
    assert run(PINNED).stdout.split() == ["1", "1"]


def test_the_watch_ends_nobody_below_the_limit() -> None:
    """It looks again and again, and speaks once."""
    readings, heard = iter([1, 10, 11]), queue.Queue[tuple[int | None, int]]()
    watch_memory(lambda: next(readings), 10, lambda taken, limit: heard.put((taken, limit)))
    assert heard.get(timeout=10) == (11, 10)


def test_a_group_has_the_limits_and_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel writes them: whole pages of memory, microseconds out of a tenth of a second."""
    cgroups = Cgroups(tmp_path, monkeypatch)
    enter_group(cgroups.root, "new", 500, 1.5, os.getpid())
    group = cgroups.root / "dspex-new"
    assert {name: (group / name).read_text() for name in ("memory.max", "cpu.max", "cgroup.procs")} == {
        "memory.max": f"{500_000_000 // PAGE_BYTES * PAGE_BYTES}\n", "cpu.max": "150000 100000\n",
        "cgroup.procs": f"{os.getpid()}\n",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("memory_mb", "cpus", "memory_max", "cpu_max"),
    [(None, 0.1, "max", "10000 100000"), (None, 1024, "max", "102400000 100000"), (16, None, "15998976", "max 100000")],
)
def test_what_is_not_limited_stays_so(
    memory_mb: int | None, cpus: float | None, memory_max: str, cpu_max: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The smallest and the largest limits are taken by the kernel."""
    cgroups = Cgroups(tmp_path, monkeypatch)
    enter_group(cgroups.root, "new", memory_mb, cpus, os.getpid())
    group = cgroups.root / "dspex-new"
    assert ((group / "memory.max").read_text(), (group / "cpu.max").read_text()) == (memory_max + "\n", cpu_max + "\n")


def test_groups_that_are_empty_are_removed_and_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that lives keeps its limits, whoever comes; folders of others are nobody's business."""
    cgroups = Cgroups(tmp_path, monkeypatch)
    (cgroups.root / "others").mkdir()
    enter_group(cgroups.root, "left", 500, 1, os.getpid())
    enter_group(cgroups.root, "lives", 500, 1, os.getpid())  # a process is in one group at a time
    enter_group(cgroups.root, "new", 500, 1, os.getppid())
    assert sorted(each.name for each in cgroups.members) == ["dspex-lives", "dspex-new", "others"]


def test_a_host_enters_its_group_by_the_servers_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named after its incarnation, which is never used again; its affinity stays as it was."""
    cgroups, before = Cgroups(tmp_path, monkeypatch), os.sched_getaffinity(0)
    settings = Settings(dedicated_cgroup=cgroups.root, dedicated_cpus=0.5)
    confine("host-1#7f", Guest("u", "ann"), settings)
    assert cgroups.members == {cgroups.root / "dspex-7f": [os.getpid()]}
    assert (cgroups.root / "dspex-7f" / "cpu.max").read_text() == "50000 100000\n"
    assert os.sched_getaffinity(0) == before


def test_a_folder_that_can_be_used_passes_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of it."""
    cgroups = Cgroups(tmp_path, monkeypatch)
    check_folder(Settings(dedicated_cgroup=cgroups.root))
    assert cgroups.members == {}


@pytest.mark.parametrize(
    ("controllers", "why"), [("memory", "no cpu.max"), ("cpu", "no memory.max"), ("", "no memory.max and no cpu.max")]
)
def test_a_folder_that_hands_a_controller_not_down_is_refused(
    controllers: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start; and by a host, should it be so later: nothing runs with one limit of two."""
    cgroups = Cgroups(tmp_path, monkeypatch, controllers)
    with pytest.raises(InvalidRequest, match=f"{why}\\)"):
        check_folder(Settings(dedicated_cgroup=cgroups.root))
    with pytest.raises(NoCapacity, match="Permission denied"):
        enter_group(cgroups.root, "new", 500, 1, os.getpid())
    assert not any(cgroups.members.values())


def test_a_folder_into_which_no_process_can_be_moved_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel wants more for that than write access: what the groups' common ancestor is, too."""
    cgroups = Cgroups(tmp_path, monkeypatch, is_delegated=False)
    with pytest.raises(InvalidRequest, match="Permission denied"):
        check_folder(Settings(dedicated_cgroup=cgroups.root))
    assert cgroups.members == {}


def test_a_folder_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    """Nothing runs without the limits that were asked for."""
    settings = Settings(dedicated_cgroup=tmp_path / "missing")
    with pytest.raises(NoCapacity, match="DSPEX_DEDICATED_CGROUP"):
        confine("host#1", Guest("u", "ann", cpus=1), settings)


def test_without_limits_nothing_is_limited(tmp_path: Path) -> None:
    """The folder is not looked at."""
    before = os.sched_getaffinity(0)
    confine("host#1", Guest("u", "ann"), Settings(dedicated_cgroup=tmp_path / "missing"))
    assert os.sched_getaffinity(0) == before


def test_a_process_without_file_descriptors_is_watched_all_the_same() -> None:
    """Memory is measured by a file that is open."""
    ended = run(EXHAUSTED + GREEDY[GREEDY.index("kept") :])
    assert (ended.returncode, ended.stdout) == (EXIT_CODE, "alive\n")


def test_a_process_that_cannot_be_measured_ends() -> None:
    """It would have no limit."""
    heard = queue.Queue[tuple[int | None, int]]()

    def measure() -> int:
        raise OSError("gone")

    watch_memory(measure, 10, lambda taken, limit: heard.put((taken, limit)))
    assert heard.get(timeout=10) == (None, 10)


def test_a_folder_that_is_no_cgroup_is_refused_at_the_start(tmp_path: Path) -> None:
    """Before any host is confined there; nothing is left of the trial."""
    for folder, why in ((tmp_path / "missing", "No such file"), (tmp_path, "no memory.max")):
        with pytest.raises(InvalidRequest, match=f"{why}.*DSPEX_DEDICATED_CGROUP"):
            check_folder(Settings(dedicated_cgroup=folder))
    assert list(tmp_path.iterdir()) == []
    check_folder(Settings())
