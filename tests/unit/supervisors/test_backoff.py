"""Back-off: a child may wait before it is started again, longer each time, until it has been quiet."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

from supervisors import Backoff, SupervisorSpec, backoff
from supervisors import messages as m
from supervisors.errors import BadSpec
from tests.unit.supervisors.world import SHUTDOWN, World, spec_of


def world_with(wait: Backoff, **options: Any) -> World:
    """Children "a", with that back-off, and "b", both running."""
    world = World(SupervisorSpec(max_restarts=9, children=(spec_of("a", backoff=wait), spec_of("b")), **options)).up()
    world.log.clear()
    return world


def waits(world: World) -> list[float]:
    """How long each retry has waited."""
    return [retry.after_s for retry in world.seen(m.Retry)]


def test_an_exit_asks_for_a_retry_after_the_wait_and_the_retry_starts_the_child() -> None:
    """Meanwhile it is `restarting`, and calls are served; the stamp is that of the attempt."""
    world = world_with(Backoff(1.5, jitter=0.2))
    assert world.exits("a") == [m.Retry("a", 1, 1.5, 0.2)]
    assert world.answers[world.call(m.WhichChild("a"))].child == "restarting"
    assert (world.started(), world.state.stamps) == ("", [])
    world.retry_comes()
    assert (world.started(), len(world.state.stamps)) == ("a", 1)


def test_a_child_that_is_terminated_while_it_waits_is_not_started() -> None:
    """The retry comes round for nothing."""
    world = world_with(Backoff(1.5))
    world.exits("a")
    world.call(m.TerminateChild("a"))
    assert world.retry_comes() == []


def test_a_child_that_goes_on_crashing_waits_longer_each_time() -> None:
    """Up to the longest wait."""
    world = world_with(Backoff(1.0, 5.0))
    for _ in range(5):
        world.exits("a")
        world.settle()
    assert waits(world) == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_child_that_ran_quietly_for_long_enough_waits_the_first_wait_again() -> None:
    """Not a moment earlier."""
    world = world_with(Backoff(1.0, 8.0, reset_after_s=10.0))
    for ran_s in (0.0, 9.999, 10.0, 0.0):
        world.now += ran_s
        world.exits("a")
        world.settle()
    assert waits(world) == [1.0, 2.0, 1.0, 2.0]


def test_a_restart_that_fails_waits_too() -> None:
    """It is one more attempt."""
    world = world_with(Backoff(1.0, 8.0))
    world.exits("a")
    world.retry_comes()
    world.start_fails()
    assert waits(world) == [1.0, 2.0]


def test_a_child_that_somebody_restarts_begins_with_the_first_wait() -> None:
    """It was terminated meanwhile, and is a new beginning."""
    world = world_with(Backoff(1.0, 8.0))
    for _ in range(2):
        world.exits("a")
        world.settle()
    world.ask(m.TerminateChild("a"))
    world.ask(m.RestartChild("a"))
    world.exits("a")
    assert waits(world) == [1.0, 2.0, 1.0]


def test_its_group_is_stopped_when_the_wait_is_over() -> None:
    """Until then the others run."""
    world = world_with(Backoff(1.0), strategy="one_for_all")
    world.exits("a")
    assert world.stopped() == ""
    world.settle()
    assert (world.stopped(), world.started()) == ("b", "ab")


def test_a_sibling_s_restart_ends_the_wait() -> None:
    """The group comes up together, and the retry finds nothing to do."""
    world = world_with(Backoff(1.0), strategy="one_for_all")
    world.exits("a")
    world.exits("b")
    world.start_succeeds()
    world.start_succeeds()
    assert world.retry_comes() == []


def test_a_stop_during_the_wait_does_not_wait() -> None:
    """There is no process to stop."""
    world = world_with(Backoff(60.0))
    world.exits("a")
    world.send(m.Stop(SHUTDOWN))
    assert isinstance(world.stop_ends()[-1], m.Leave)


@pytest.mark.parametrize(
    ("wait", "tries", "seconds"),
    [
        (Backoff(0.5), 9, 0.5),
        (Backoff(0.5, 3.0), 2, 2.0),
        (Backoff(1.0, 9.0, factor=1.0), 50, 1.0),
        (Backoff(1.0, 60.0), 100_000, 60.0),
        (Backoff(1.0, 60.0, factor=1e300), 9, 60.0),
        (Backoff(0.0, 60.0), 100_000, 0.0),
    ],
)
def test_a_wait_is_the_first_times_a_power_of_the_factor_up_to_the_longest(
    wait: Backoff, tries: int, seconds: float
) -> None:
    """However many tries were made."""
    assert wait.wait_s(tries) == seconds


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"first_s": -1}, "backoff first_s=-1 is not accepted; give a number from 0."),
        ({"first_s": "soon"}, "backoff first_s='soon' is not accepted"),
        ({"first_s": float("inf")}, "backoff first_s=inf is not accepted"),
        ({"first_s": True}, "backoff first_s=True is not accepted"),
        ({"first_s": 2.0, "max_s": 1.0}, "backoff max_s=1.0 is not accepted; give a number from 2."),
        ({"first_s": 1.0, "factor": 0.5}, "backoff factor=0.5 is not accepted; give a number from 1."),
        ({"first_s": 1.0, "jitter": 1.5}, "backoff jitter=1.5 is not accepted; give a number from 0 to 1."),
        ({"first_s": 1.0, "reset_after_s": None}, "backoff reset_after_s=None is not accepted"),
    ],
)
def test_a_wait_that_is_none_is_refused_by_name_with_what_is_accepted(options: dict[str, Any], named: str) -> None:
    """The sentence names the option, its value and the bounds."""
    with pytest.raises(BadSpec) as refusal:
        Backoff(**options)
    assert str(refusal.value).startswith(named)


def test_the_examples_of_the_waits_run() -> None:
    """Doctests."""
    assert doctest.testmod(backoff).failed == 0
