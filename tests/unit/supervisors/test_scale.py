"""Costs: each child costs the same, however many there are."""

from __future__ import annotations

import time

import pytest

from supervisors import SupervisorSpec
from supervisors import messages as m
from supervisors.spec import Strategy
from tests.unit.supervisors.world import World, child_of, spec_of, specs_of

FEW, MANY = 300, 6000


def seconds(strategy: Strategy, count: int) -> float:
    """Processor time to start, count and terminate so many temporary children, one call after the other."""
    children = specs_of("t", restart="temporary") if strategy == "simple_one_for_one" else ()
    world = World(SupervisorSpec(strategy=strategy, children=children)).up()
    by_id = strategy in ("one_for_one", "one_for_all", "rest_for_one")
    began = time.process_time()
    for key in map(str, range(1, count + 1)):
        spec = spec_of(f"c{key}" if by_id else "c", restart="temporary")
        world.ask(m.StartFromTemplate() if children else m.StartChild(spec))
    assert world.ask(m.CountChildren()).active == len(world.ask(m.WhichChildren())) == count
    for number in range(1, count + 1):
        world.ask(m.TerminateChild(f"c{number}" if by_id else child_of(str(number), number)))
    assert world.state.slots == {}
    return time.process_time() - began


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "simple_one_for_one", "dynamic"])
def test_twenty_times_as_many_children_take_about_twenty_times_as_long(strategy: Strategy) -> None:
    """Five times more is allowed; what looks at all children for each of them would take twenty times more."""
    few = min(seconds(strategy, FEW) for _ in range(3))
    assert seconds(strategy, MANY) < few * (MANY / FEW) * 5
