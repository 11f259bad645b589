"""Lifelines, with real processes: who holds one, who watches it, and what a SIGKILL does."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisors import lifeline

ROOT = Path(__file__).parents[4]
HOLDER = """
import sys, threading
from pathlib import Path
from supervisors import lifeline
lifeline.hold(Path(sys.argv[1]))
print("held", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the lifeline is."""
    return tmp_path / "host.life"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds it."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_every_watcher_hears_of_a_killed_holder(holder: subprocess.Popen[str], path: Path) -> None:
    """Two at a time: the first one passes it on."""
    heard = [threading.Event(), threading.Event()]
    for event in heard:
        lifeline.watch(path, event.set)
    assert not any(event.is_set() for event in heard)
    holder.kill()
    assert all(event.wait(10) for event in heard)


def test_a_watcher_that_comes_late_hears_at_once(holder: subprocess.Popen[str], path: Path) -> None:
    """The lock remembers that its owner ended."""
    holder.kill()
    holder.wait(10)
    heard = threading.Event()
    lifeline.watch(path, heard.set)
    assert heard.wait(10)


def test_nothing_is_heard_while_the_holder_lives(holder: subprocess.Popen[str], path: Path) -> None:
    """Also when another watcher's process ends, which waited for the same lock."""
    heard = threading.Event()
    lifeline.watch(path, heard.set)
    other = f"from pathlib import Path; from supervisors import lifeline as l; l.watch(Path({str(path)!r}), id)"
    subprocess.run([sys.executable, "-c", other], check=True, cwd=ROOT)
    assert not heard.wait(0.2)
    assert holder.poll() is None


def test_a_lifeline_is_made_once(path: Path) -> None:
    """Names are never used twice; the lock of a living process is not overwritten."""
    path.touch()
    with pytest.raises(FileExistsError):
        lifeline.hold(path)


def test_watching_what_is_not_there_is_an_error(path: Path) -> None:
    """The caller has its pidfd."""
    with pytest.raises(FileNotFoundError):
        lifeline.watch(path, lambda: None)
