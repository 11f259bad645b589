"""Placement with 1,000 hosts and 10 million sessions: the planner that the cluster runs, beside placings by formula."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.latency import percentile
from benchmarks.placings import PLACINGS
from benchmarks.populations import Floats, Population, hottest, least_possible, populate
from dspex_actors.sessions.planner import HostView, Move, plan_moves

FIRST = 3
SHOWN = (4, 10, 30, 100, 300, 1000)
LOST = (1, 10, 100)
NODE = 10
"""Hosts on one node."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One plan. Shares are of all shards; `lowest` is the max/mean that no placing of whole shards can beat."""

    event: str
    hosts: int
    needed: float
    moved: float
    most: float
    lowest: float
    plan_ms: float
    targets: int
    formulas: dict[str, tuple[float, float]] = field(default_factory=dict)


class Simulation:
    """Hosts that come and go, and where the planner puts their shards."""

    def __init__(self, population: Population) -> None:
        self.population = population
        self.weights = population.weights()
        self.hosts: list[HostView] = []
        self.owners: dict[str, str] = {}
        self.plan_ms: list[float] = []
        self._made = 0

    def add(self, count: int = 1) -> None:
        """New hosts, node after node."""
        for _ in range(count):
            self.hosts.append(HostView(f"host-{self._made}", f"node-{self._made // NODE}"))
            self._made += 1

    def plan(self, wanted: int) -> tuple[list[Move], float]:
        """Plan and carry out; the moves, and the processor time of planning in ms.

        Raises:
            AssertionError: The plan left a unit where it cannot be, moved one twice, or had not been enough.
        """
        start = time.process_time()
        moves = plan_moves(self.hosts, self.owners, wanted, self.weights)
        took = (time.process_time() - start) * 1e3
        self.plan_ms.append(took)
        assert len({move.unit for move in moves}) == len(moves), "a unit moved twice"
        self.owners.update((move.unit, move.target) for move in moves)
        staying = {host.name for host in self.hosts if not host.draining}
        assert staying.issuperset(self.owners.values()), "a unit is on a host that leaves"
        return moves, took

    def most(self) -> float:
        """max/mean of the loads of those who own shards."""
        loads: Counter[str] = Counter()
        for unit, host in self.owners.items():
            loads[host] += self.weights[unit]  # type: ignore[assignment]
        return max(loads.values()) * len(loads) / sum(loads.values())

    def figures(self, event: str, wanted: int, needed: float) -> Figures:
        """Plan for `wanted` owners, and measure; `needed` is the share of shards that cannot stay where they are."""
        moves, took = self.plan(wanted)
        owning = len(set(self.owners.values()))
        lowest = least_possible(self.population.loads, owning)
        moved = len(moves) / len(self.owners)
        return Figures(event, owning, needed, moved, self.most(), lowest, took, len({m.target for m in moves}))

    def share_of(self, names: set[str]) -> float:
        """The share of shards that these hosts own."""
        return sum(host in names for host in self.owners.values()) / len(self.owners)


def compare(loads: Floats, before: Sequence[str], after: Sequence[str]) -> dict[str, tuple[float, float]]:
    """What each formula moves when the hosts change, as a share of all shards, and its max/mean then."""
    found = {}
    for name, place in PLACINGS.items():
        old = np.array(before)[place(len(loads), before)]
        new = place(len(loads), after)
        by_host = np.bincount(new, weights=loads, minlength=len(after))
        found[name] = (float((old != np.array(after)[new]).mean()), float(by_host.max() / by_host.mean()))
    return found


def grow(sim: Simulation, hosts: int) -> list[Figures]:
    """From three hosts to many, one by one; figures of every step, formulas at some."""
    sim.add(FIRST)
    sim.owners = {unit: f"host-{shard % FIRST}" for shard, unit in enumerate(sim.weights)}
    sim.plan(FIRST)
    found = []
    for count in range(FIRST + 1, hosts + 1):
        sim.add()
        step = sim.figures("join", count, 1 / count)
        if count in SHOWN or count == hosts:
            names = [host.name for host in sim.hosts]
            step = replace(step, formulas=compare(sim.population.loads, names[:-1], names))
        found.append(step)
    return found


def lose(sim: Simulation, count: int, standbys: int, seed: int, drained: bool) -> Figures:
    """Some hosts die, or drain, at once; then all is as it was."""
    hosts, owners, wanted = list(sim.hosts), dict(sim.owners), len(set(sim.owners.values()))
    draw = np.random.default_rng(seed)
    gone = {hosts[index].name for index in draw.choice(len(hosts), count, replace=False)}
    sim.add(standbys)
    came = sim.hosts[len(hosts) :]
    leaving = [replace(host, draining=True) for host in hosts if host.name in gone] if drained else []
    sim.hosts = [host for host in sim.hosts if host.name not in gone] + leaving
    event = f"{count} {'drained' if drained else 'lost'}, {standbys or 'no'} spare"
    found = sim.figures(event, wanted, sim.share_of(gone))
    names, spares = [host.name for host in hosts], iter(came)
    filled = [next(spares, None) if host.name in gone else host for host in hosts]
    stay = [host.name for host in filled if host is not None]
    sim.hosts, sim.owners = hosts, owners
    return replace(found, formulas=compare(sim.population.loads, names, stay))


def shift(sim: Simulation, chosen: argparse.Namespace, skew: float) -> tuple[float, Figures]:
    """Other sessions are the active ones now: max/mean before, and the figures of the plan."""
    shards = len(sim.owners)
    sim.population = populate(chosen.sessions, shards, skew, 0, chosen.seed + 1)
    sim.weights = sim.population.weights()
    before = sim.most()
    return before, sim.figures("other sessions active", len(sim.hosts), 0.0)


def simulate(shards: int, skew: float, chosen: argparse.Namespace) -> dict[str, Any]:
    """All of it, for one number of shards and one skew."""
    sim = Simulation(populate(chosen.sessions, shards, skew, chosen.hashed, chosen.seed))
    report.say(f"{shards} shards, skew {skew}: {chosen.hosts} hosts join one by one")
    steps = grow(sim, chosen.hosts)
    hits = [count for count in LOST if count < chosen.hosts]
    losses = [
        lose(sim, count, standbys, chosen.seed, drained)
        for drained in (False, True)
        for count in hits
        for standbys in (count, 0)
    ]
    before, shifted = shift(sim, chosen, skew)
    return {
        "shards": shards, "skew": skew, "sessions_on_a_shard": sessions_on(sim.population),
        "hottest_session": hottest(chosen.sessions, skew), "steps": steps, "losses": losses,
        "shift": {"before": before, "after": shifted},
        "plan_ms": {"p50": percentile(sim.plan_ms, 0.5), "max": max(sim.plan_ms), "plans": len(sim.plan_ms)},
    }  # fmt: skip


def sessions_on(population: Population) -> dict[str, float]:
    """How evenly the hash spreads sessions: mean, least and most on one shard."""
    counts = population.sessions
    return {"mean": float(counts.mean()), "min": int(counts.min()), "max": int(counts.max())}


def show(found: dict[str, Any], chosen: argparse.Namespace, console: Console) -> None:
    """The tables of one number of shards and one skew."""
    on, load = found["sessions_on_a_shard"], found["hottest_session"] * chosen.hosts / chosen.sessions
    console.print(
        f"\n{found['shards']} shards of {on['mean']:.0f} sessions ({on['min']} to {on['max']}), skew {found['skew']}: "
        f"the hottest session is {load:.2g} of a host's mean load at {chosen.hosts} hosts"
    )
    shown = [step for step in found["steps"] if step.formulas]
    console.print(table("The n-th host joins", "n", [(f"{step.hosts}", step) for step in shown]))
    console.print(table("Hosts leave", "what", [(loss.event, loss) for loss in found["losses"]]))
    shift, times = found["shift"], found["plan_ms"]
    after: Figures = shift["after"]
    console.print(
        f"Other sessions active: max/mean {shift['before']:.2f} before, {after.most:.2f} after moving "
        f"{after.moved:.1%} of the shards (at best {after.lowest:.2f}). "
        f"{times['plans']} plans: p50 {times['p50']:.1f} ms, max {times['max']:.1f} ms."
    )


def table(title: str, first: str, rows: list[tuple[str, Figures]]) -> Table:
    """Shares of shards moved, and max/mean of loads: the planner's, then each formula's."""
    shown = Table(title=f"{title}: shards moved | max/mean load")
    headings = (first, "must move", "planner", "at best", "to hosts", "plan ms", *PLACINGS)
    for heading in headings:
        shown.add_column(heading, justify="right", no_wrap=True)
    for name, figures in rows:
        formulas = [f"{moved:.1%} | {most:.2f}" for moved, most in figures.formulas.values()]
        shown.add_row(
            name, f"{figures.needed:.1%}", f"{figures.moved:.1%} | {figures.most:.2f}", f"{figures.lowest:.2f}",
            f"{figures.targets}", f"{figures.plan_ms:.1f}", *formulas,
        )  # fmt: skip
    return shown


def as_json(found: dict[str, Any]) -> dict[str, Any]:
    """With every step."""
    steps, losses = [asdict(step) for step in found["steps"]], [asdict(loss) for loss in found["losses"]]
    shift = {"before": found["shift"]["before"], "after": asdict(found["shift"]["after"])}
    return {**found, "steps": steps, "losses": losses, "shift": shift}


def main() -> None:
    """Simulate, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000_000)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--shards", type=int, nargs="+", default=[1024, 16384])
    parser.add_argument("--skew", type=float, nargs="+", default=[0.0, 0.8], help="the r-th session does r**-skew")
    parser.add_argument("--hashed", type=int, default=1_000_000, help="sessions that the product's own hash places")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None, help="where the JSON goes instead of benchmarks/results/")
    chosen = parser.parse_args()
    facts, console = machine.describe(), Console(width=140)
    found = [simulate(shards, skew, chosen) for shards in chosen.shards for skew in chosen.skew]
    console.print(f"{chosen.sessions:,} sessions, {NODE} hosts a node, seed {chosen.seed}")
    for each in found:
        show(each, chosen, console)
    console.print(machine.as_line(facts))
    result = {
        "benchmark": "placement_sim", "machine": facts, "settings": {**vars(chosen), "json": None},
        "found": [as_json(each) for each in found],
    }  # fmt: skip
    report.say(f"wrote {report.write_json('placement_sim', result, chosen.json)}")


if __name__ == "__main__":
    main()
