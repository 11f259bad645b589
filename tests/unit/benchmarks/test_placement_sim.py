"""The placement simulator: its population, the formulas beside the planner, and a small run of all of it."""

from __future__ import annotations

import argparse
import io
import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.placement_sim import Simulation, grow, lose, show, simulate
from benchmarks.placings import modulo, rendezvous, ring
from benchmarks.populations import TENANT, hottest, least_possible, populate
from dspex_actors.ids import SHARDS, shard_of

HOSTS = [f"host-{number}" for number in range(10)]


def test_sessions_are_on_the_shards_that_the_product_puts_them_on() -> None:
    """By its own hash, the most active first."""
    found = populate(sessions=500, shards=SHARDS, skew=1.0, hashed=500, seed=1)
    on = [shard_of(TENANT, f"{number:026d}") for number in range(1, 501)]
    assert found.sessions.tolist() == [Counter(on)[shard] for shard in range(SHARDS)]
    assert found.loads[on[0]] >= hottest(500, 1.0) > 50


def test_drawn_sessions_are_as_even_as_hashed_ones() -> None:
    """That is why most of them need not be hashed."""
    hashed, drawn = (populate(100_000, SHARDS, 0.0, count, 1).sessions for count in (100_000, 0))
    assert hashed.sum() == drawn.sum() == 100_000
    assert hashed.std() == pytest.approx(drawn.std(), rel=0.15)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=7), st.integers(1, 3))
def test_no_placing_beats_what_is_said_to_be_the_least_possible(loads: list[float], hosts: int) -> None:
    """Held against all of them."""

    def most(placing: tuple[int, ...]) -> float:
        by_host = np.bincount(placing, weights=loads, minlength=hosts)
        return float(by_host.max() / by_host.mean())

    best = min(most(placing) for placing in itertools.product(range(hosts), repeat=len(loads)))
    assert 1.0 <= least_possible(np.array(loads), hosts) <= best + 1e-9


def test_with_a_shard_and_a_bit_for_each_host_somebody_has_two() -> None:
    """1,024 shards on 1,000 hosts: twice the mean, whoever places them."""
    assert least_possible(np.ones(1024), 1000) == pytest.approx(2 / 1.024)


def test_modulo_moves_most_shards_when_a_host_joins_and_the_others_only_to_it() -> None:
    """What makes them fair opponents."""
    moved = {}
    for place in (modulo, ring, rendezvous):
        before, after = place(5000, HOSTS[:9]), place(5000, HOSTS)
        assert set(after.tolist()) == set(range(10))
        moved[place.__name__] = (before != after).mean()
        assert place is modulo or set(after[before != after].tolist()) == {9}
    assert moved["modulo"] > 0.85
    assert 0.05 < moved["ring"] < 0.15
    assert 0.08 < moved["rendezvous"] < 0.12


def test_the_simulated_cluster_grows_by_moves_to_the_host_that_joins() -> None:
    """About one n-th each; figures of the formulas at some steps."""
    sim = Simulation(populate(10_000, 512, 0.0, 0, 1))
    steps = grow(sim, 12)
    assert [step.hosts for step in steps] == list(range(4, 13))
    assert all(step.targets == 1 and step.moved == pytest.approx(step.needed, rel=0.25) for step in steps)
    assert [step.hosts for step in steps if step.formulas] == [4, 10, 12]


def test_a_simulated_loss_moves_what_was_lost_and_is_undone_afterwards() -> None:
    """To standbys if there are as many, else to all; every loss starts from the same cluster."""
    sim = Simulation(populate(10_000, 512, 0.0, 0, 1))
    grow(sim, 12)
    before = dict(sim.owners)
    for standbys, targets in ((3, 3), (0, 9)):
        loss = lose(sim, 3, standbys, seed=1, drained=False)
        assert loss.targets == targets
        assert loss.moved == loss.needed
        assert sim.owners == before


def test_a_plan_that_leaves_a_unit_with_the_dead_fails_the_simulation() -> None:
    """Without hosts none can be right."""
    sim = Simulation(populate(100, 8, 0.0, 0, 1))
    sim.owners = dict.fromkeys(sim.weights, "dead")
    with pytest.raises(AssertionError, match="a host that leaves"):
        sim.plan(1)


def test_a_whole_simulation_shows_its_figures() -> None:
    """Joins, losses, drains, and other sessions that become active."""
    chosen = argparse.Namespace(sessions=5_000, hosts=11, hashed=100, seed=1)
    shown = io.StringIO()
    show(simulate(SHARDS, 0.8, chosen), chosen, Console(width=140, file=shown))
    for expected in ("1 lost, 1 spare", "10 drained, no spare", "rendezvous", "Other sessions active"):
        assert expected in shown.getvalue()
