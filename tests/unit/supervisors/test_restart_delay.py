"""A child that is expensive to start may wait before it is started again."""

from __future__ import annotations

import pytest

from supervisors import Exit, SupervisorSpec
from supervisors import messages as m
from supervisors.errors import BadSpec
from tests.unit.supervisors.world import World, child_of, spec_of


def test_an_exit_asks_for_a_retry_after_the_delay_and_the_retry_starts_the_child() -> None:
    """Meanwhile it is `restarting`, and calls are served."""
    world = World(SupervisorSpec(children=(spec_of("a", restart_delay_s=1.5),)))
    (start,) = world.send(m.Init())
    assert isinstance(start, m.Start)
    world.send(m.Started("a", start.instance, child_of("a", start.instance)))
    assert world.send(m.Exited("a", start.instance, Exit("killed"))) == [m.Retry("a", start.instance, 1.5)]
    ref = world.call(m.WhichChildren())
    assert world.answers[ref][0].child == "restarting"
    (again,) = world.send(m.TryAgain("a", start.instance))
    assert isinstance(again, m.Start)


def test_a_child_that_is_terminated_while_it_waits_is_not_started() -> None:
    """The retry comes round for nothing."""
    world = World(SupervisorSpec(children=(spec_of("a", restart_delay_s=1.5),)))
    (start,) = world.send(m.Init())
    assert isinstance(start, m.Start)
    world.send(m.Started("a", start.instance, child_of("a", start.instance)))
    world.send(m.Exited("a", start.instance, Exit("killed")))
    world.call(m.TerminateChild("a"))
    assert world.send(m.TryAgain("a", start.instance)) == []


@pytest.mark.parametrize("value", [-1, "soon", float("inf")])
def test_a_delay_that_is_none_is_refused(value: object) -> None:
    """With what is accepted."""
    with pytest.raises(BadSpec, match="give a number of seconds from 0"):
        spec_of("a", restart_delay_s=value)
