"""What `dspex serve` refuses before it starts anything, and how it hears that it should stop."""

from __future__ import annotations

import io
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dspex_actors.cli.background import Background
from dspex_actors.cli.logs import new_log_folder
from dspex_actors.cli.serve import run_serve
from dspex_actors.cli.stopping import Interrupted, Stopping
from dspex_actors.config import Settings
from dspex_actors.home import Instance, hold_home


def test_a_held_home_is_refused_with_one_line(tmp_path: Path) -> None:
    """Exit code 1; the lock is still the first one's."""
    out = io.StringIO()
    with hold_home(tmp_path, "http://127.0.0.1:8000"):
        assert run_serve(Settings(home=tmp_path), out=out) == 1
    assert out.getvalue().startswith(f"dspex serve: The home {tmp_path} is in use by pid {os.getpid()}")
    assert out.getvalue().count("\n") == 1


def test_a_taken_port_is_refused_with_one_line(tmp_path: Path) -> None:
    """Exit code 1; no folder of sockets was made."""
    out = io.StringIO()
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = Settings(home=tmp_path, port=server.getsockname()[1])
        assert run_serve(settings, out=out) == 1
    assert out.getvalue().startswith(f"dspex serve: Port {settings.port} on 127.0.0.1 is taken")
    assert not settings.run_dir.exists()


def test_a_stop_while_starting_interrupts_and_later_ones_only_tell() -> None:
    """Once when it starts, never while it cleans up."""
    stopping, before = Stopping(), signal.getsignal(signal.SIGTERM)
    with stopping.listening():
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert stopping.now.is_set()
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_second_stop_while_serving_is_one_at_once() -> None:
    """The first asks, the second insists."""
    stopping = Stopping()
    stopping.starting = False
    with stopping.listening():
        signal.raise_signal(signal.SIGINT)
        assert (stopping.asked.is_set(), stopping.now.is_set()) == (True, False)
        signal.raise_signal(signal.SIGINT)
    assert stopping.now.is_set()


def test_what_a_background_call_raised_is_raised_to_whom_waits() -> None:
    """Nothing that fails in a thread is lost."""

    def fail() -> None:
        raise ValueError("broken")

    calls: list[Callable[[], None]] = [fail, lambda: None]
    failing, passing = [Background(call) for call in calls]
    with pytest.raises(ValueError, match="broken"):
        failing.done(5)
    assert passing.done(5)


def test_the_newest_five_log_folders_are_kept(tmp_path: Path) -> None:
    """By term as a number, and `latest` points to the newest."""
    for term in range(8, 15):
        new_log_folder(tmp_path, Instance("ab", term))
    names = {path.name for path in (tmp_path / "logs").iterdir()}
    assert names == {"10", "11", "12", "13", "14", "latest"}
    assert (tmp_path / "logs" / "latest").resolve().name == "14"
