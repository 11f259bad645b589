"""When a host is worn out."""

from __future__ import annotations

import pytest

from dspex_actors.clock import ManualClock
from dspex_actors.sessions.wear import Wear, WearLimits


def wear(limits: WearLimits, rss: int = 0) -> tuple[Wear, ManualClock]:
    """A fresh one, and its time."""
    clock = ManualClock()
    return Wear(limits, clock.monotonic_s, lambda: rss), clock


def test_a_fresh_host_is_not_worn() -> None:
    """Nor is one without limits, whatever it has done."""
    host, clock = wear(WearLimits(), rss=10**12)
    host.turn()
    clock.advance(10**6)
    assert host.reason() is None


@pytest.mark.parametrize(("rss", "reason"), [(99, None), (100, "memory: 100 of 100")])
def test_memory_wears_from_the_limit_on(rss: int, reason: str | None) -> None:
    """What the process has of its own."""
    assert wear(WearLimits(rss_bytes=100), rss)[0].reason() == reason


def test_turns_and_age_wear() -> None:
    """Whichever comes first."""
    host, clock = wear(WearLimits(turns=2, age_s=60))
    host.turn()
    assert host.reason() is None
    clock.advance(60)
    assert host.reason() == "age: 60 of 60"
    host.turn()
    assert host.reason() == "turns: 2 of 2"


def test_programs_that_were_stopped_by_force_wear() -> None:
    """Sixteen of them, unless told otherwise."""
    host, _ = wear(WearLimits(stopped=2))
    host.stopped()
    assert host.reason() is None
    host.stopped()
    assert host.reason() == "programs stopped: 2 of 2"


def test_threads_that_hang_wear_as_long_as_they_do() -> None:
    """They may come back."""
    host, _ = wear(WearLimits(hanging=3))
    hanging = [3]
    host.watch_hanging(lambda: hanging[0])
    assert host.reason() == "threads that hang: 3 of 3"
    hanging[0] = 2
    assert host.reason() is None


def test_what_is_broken_stays_so_and_comes_first() -> None:
    """The first thing that broke is the reason."""
    host, _ = wear(WearLimits(rss_bytes=1), rss=2)
    host.broken("the loop")
    host.broken("something else")
    assert host.reason() == "the loop"
