"""The sweep, on real processes: those with the marker, never by name."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dspex_actors.cli.sweep import MARKER, clear_before, clear_own, processes_of, remove_folder
from dspex_actors.home import Instance

Start = Callable[[str], "subprocess.Popen[str]"]
READY = "import signal; print('ready', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process with a marker that ignores SIGTERM; all are gone at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(marker: str) -> subprocess.Popen[str]:
        environment = os.environ | {MARKER: marker}
        process = subprocess.Popen([sys.executable, "-c", STUBBORN], env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def instance() -> Instance:
    """Its third start."""
    return Instance(secrets.token_hex(8), 3)


def test_only_lower_terms_of_the_same_instance_are_killed(start: Start, instance: Instance) -> None:
    """Other instances, this term and unmarked processes live on."""
    old, older = start(f"{instance.id}:2"), start(f"{instance.id}:1")
    others = [start(instance.marker), start(f"{secrets.token_hex(8)}:1"), start(""), start(f"{instance.id}:x")]
    assert clear_before(instance) == 2
    assert None not in (old.poll(), older.poll())
    assert [process.poll() for process in others] == [None] * 4


def test_what_a_start_left_of_its_own_is_killed_after_the_grace(start: Start, instance: Instance) -> None:
    """The stop's last act; later terms are not its own."""
    own, later = start(instance.marker), start(f"{instance.id}:4")
    assert clear_own(instance, grace_s=0.01) == 1
    assert own.poll() is not None
    assert later.poll() is None


def test_nothing_is_killed_that_went_within_the_grace(start: Start, instance: Instance) -> None:
    """A process that ends by itself is not counted."""
    start(instance.marker).kill()
    assert clear_own(instance, grace_s=5) == 0


def test_the_sweep_spares_itself_and_its_ancestors(instance: Instance) -> None:
    """Run by a shell that an earlier start's process opened, it does not kill that shell."""
    call = f"from dspex_actors.cli.sweep import processes_of; print(processes_of({instance.id!r}, lambda term: True))"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {call!r}], check=True)"
    environment = os.environ | {MARKER: f"{instance.id}:1"}
    run = subprocess.run([sys.executable, "-c", nested], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_terms_are_told_apart(start: Start, instance: Instance) -> None:
    """The filter sees each process's own term."""
    process = start(f"{instance.id}:2")
    assert [found.pid for found in processes_of(instance.id, lambda term: term == 2)] == [process.pid]
    assert processes_of(instance.id, lambda term: term == 1) == []


def test_a_folder_is_removed_with_all_in_it_and_may_be_missing(tmp_path: Path) -> None:
    """Twice is as good as once."""
    (tmp_path / "run" / "ray").mkdir(parents=True)
    remove_folder(tmp_path / "run")
    remove_folder(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """The folder lies where every user of the machine may write."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "precious")
    with pytest.raises(PermissionError, match="not this user's folder"):
        remove_folder(tmp_path / "run")
    assert (tmp_path / "precious").is_dir()
