"""Sessions as the planner sees them: how many, and how much to do, on every shard; and what no placing can beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dspex_actors.ids import SHARDS, shard_of, unit_of_shard

TENANT = "default"
CHUNK = 1_000_000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Population:
    """Sessions by shard, and the load by shard in the load of an average session."""

    sessions: Ints
    loads: Floats

    @property
    def units(self) -> list[str]:
        """The shards' names, in order."""
        return [unit_of_shard(shard) for shard in range(len(self.sessions))]

    def weights(self) -> dict[str, float]:
        """Load by unit, as the planner takes it."""
        return dict(zip(self.units, self.loads.tolist(), strict=True))


def populate(sessions: int, shards: int, skew: float, hashed: int, seed: int) -> Population:
    """Sessions 1, 2, 3 … on their shards, the r-th with a load of r**-skew, scaled to a mean of 1.

    The first `hashed`, which do most, are placed by `ids.shard_of` if there are as many shards as it knows; the others
    are drawn, which is the same but for the time that it takes.
    """
    draw = np.random.default_rng(seed)
    counts, loads = np.zeros(shards, np.int64), np.zeros(shards)
    real = min(hashed, sessions) if shards == SHARDS else 0
    for first in range(0, sessions, CHUNK):
        last = min(first + CHUNK, sessions)
        on = draw.integers(0, shards, last - first)
        if first < real:
            found = [shard_of(TENANT, f"{number:026d}") for number in range(first + 1, min(last, real) + 1)]
            on[: len(found)] = found
        counts += np.bincount(on, minlength=shards)
        loads += np.bincount(on, weights=np.arange(first + 1, last + 1, dtype=float) ** -skew, minlength=shards)
    return Population(counts, loads * (sessions / loads.sum()))


def hottest(sessions: int, skew: float) -> float:
    """The load of the session that does most, in that of an average one."""
    total = sum(
        float((np.arange(first + 1, min(first + CHUNK, sessions) + 1, dtype=float) ** -skew).sum())
        for first in range(0, sessions, CHUNK)
    )
    return sessions / total


def least_possible(loads: Floats, hosts: int) -> float:
    """max/mean that no placing of whole shards on so many hosts can beat.

    Of the k·n + 1 heaviest shards some host has k + 1, which are at least the k + 1 lightest of them.
    """
    heavy = np.sort(loads)[::-1]
    sums = np.concatenate(([0.0], np.cumsum(heavy)))
    tops = range(hosts, len(heavy), hosts)
    bounds = [float(sums[top + 1] - sums[top - top // hosts]) for top in tops]
    return max(1.0, max([float(heavy[0]), *bounds]) * hosts / float(heavy.sum()))
