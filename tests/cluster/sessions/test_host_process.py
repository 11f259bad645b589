"""What a host's process does before it serves, and whom it obeys."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from dspex_actors.errors import Moved
from dspex_actors.sessions import ray_watch
from dspex_actors.sessions.placement import HostInfo
from dspex_actors.sessions.ray_host import START_NICE, HostActor
from dspex_actors.store import Lease

OWN = Lease("shard:1", 1, "host#a")
CALLS: dict[str, Callable[[HostActor], Any]] = {
    "own": lambda host: host.own({"shard:1": 1}, 1),
    "disown": lambda host: host.disown(["shard:1"], 1),
    "hand_over": lambda host: host.hand_over({"shard:1": 1}, "host#b", 1),
    "let_go": lambda host: host.let_go("u", OWN, None, 1.0, 1),
    "news": lambda host: host.news(0, 1),
    "begin_drain": lambda host: host.begin_drain(1),
    "put_on_probation": lambda host: host.put_on_probation("u", 1),
    "retire": lambda host: host.retire(1),
}


def bare() -> HostActor:
    """A host that has not begun: no thread, no store, no Ray."""
    host = object.__new__(HostActor)
    host._name, host._term = "host#a", 2
    return host


@pytest.mark.parametrize("name", CALLS)
def test_a_command_of_a_placement_with_a_lower_term_is_refused(name: str) -> None:
    """It has been replaced and does not know it yet."""
    with pytest.raises(Moved, match="term 1 speaks; this host has heard of term 2"):
        asyncio.run(CALLS[name](bare()))


def test_a_placement_with_a_higher_term_is_the_one_from_then_on() -> None:
    """Whatever it says first."""
    host = bare()
    host._check(3)
    with pytest.raises(Moved):
        host._check(2)


def test_a_host_that_starts_yields_to_those_that_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its imports have a low priority, and the thread that will serve an ordinary one; unless it can start, it ends."""
    host, built, ended = bare(), list[int](), list[int]()

    def build() -> HostInfo:
        built.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        raise OSError("no folder")

    monkeypatch.setattr(host, "_build", build)
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", lambda work, _loop: work.close())
    host._loop = None  # type: ignore[assignment]
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    beginning = threading.Thread(target=host._begin)
    beginning.start()
    beginning.join()
    assert (built, ended) == ([max(before, START_NICE)], [1])
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


@pytest.mark.parametrize(("later_s", "is_that"), [(0.0, True), (-3600.0, False)])
def test_a_process_that_has_a_hosts_number_and_began_at_another_time_is_not_that_host(
    later_s: float, is_that: bool
) -> None:
    """Numbers are given again; nobody may be watched, or taken for living, by the number alone."""
    started = psutil.Process().create_time() + later_s
    assert ray_watch._is_that(HostInfo("host#a", "", os.getpid(), started, "node")) is is_that
