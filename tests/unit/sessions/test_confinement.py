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


def test_a_group_has_the_limits_and_the_process(tmp_path: Path) -> None:
    """Groups that earlier hosts have left are removed."""
    (tmp_path / "dspex-old").mkdir()
    enter_group(tmp_path, "new", 500, 1.5, 4711)
    group = tmp_path / "dspex-new"
    assert [each.name for each in tmp_path.iterdir()] == ["dspex-new"]
    assert {each.name: each.read_text() for each in group.iterdir()} == {
        "memory.max": "500000000", "cpu.max": "150000 100000", "cgroup.procs": "4711",
    }  # fmt: skip


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
