"""Threads that yield, whatever niceness and rights their process was given."""

from __future__ import annotations

import os
import threading

import pytest

from dspex_actors.sessions.priority import lower_priority


def lowered(nice: int, monkeypatch: pytest.MonkeyPatch, before: int) -> list[tuple[int, int, int]]:
    """What the system is asked for, for a thread of that niceness."""
    asked: list[tuple[int, int, int]] = []
    monkeypatch.setattr(os, "getpriority", lambda _which, _who: before)
    monkeypatch.setattr(os, "setpriority", lambda *what: asked.append(what))
    lower_priority(nice)
    return asked


@pytest.mark.parametrize(("before", "after"), [(-5, 10), (0, 10), (10, 10), (15, 15)])
def test_a_thread_yields_at_least_so_much_and_never_less_than_before(
    monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    """Less niceness than a thread has is refused to whoever is not root, and a host that is refused would not start."""
    assert lowered(10, monkeypatch, before) == [(os.PRIO_PROCESS, threading.get_native_id(), after)]
