"""Who runs which unit: a pure plan from leases and living hosts to moves, and the table that routers go by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dspex_actors.ids import SHARDS, unit_of_shard


@dataclass(frozen=True, slots=True)
class HostInfo:
    """A host that says it is there. `started` is the process's start time, so that a reused pid is no host.

    `state_version` is the newest form of a state that it can read.
    """

    name: str
    address: str
    pid: int
    started: float
    node: str
    state_version: int = 1


def readable_by_all(hosts: Iterable[HostInfo]) -> int:
    """The newest form of a state that every one of them can read; 0 where there is none of them."""
    return min((host.state_version for host in hosts), default=0)


def lifeline_of(address: Path | str) -> Path:
    """Where the host that listens at `address` has its lifeline."""
    return Path(address).with_suffix(".life")


class Place(NamedTuple):
    """Where a unit is served: nowhere at the moment if `host` is None."""

    host: str | None
    node: str | None
    epoch: int


@dataclass(frozen=True, slots=True)
class Table:
    """Where every unit is served. A higher `version` replaces a lower one.

    Attributes:
        hosts: Address by name, standbys included, so that routers are connected before they are needed.
        nodes: Ray's node id by host.
        units: Host and epoch by unit; a unit whose host is gone is missing.
    """

    version: int
    hosts: Mapping[str, str]
    units: Mapping[str, tuple[str, int]]
    draining: bool = False
    nodes: Mapping[str, str] = field(default_factory=dict)


def first_owners(hosts: Sequence[str], wanted: int) -> dict[str, str]:
    """Every shard's first owner: spread evenly over the first `wanted` hosts."""
    owners = hosts[: max(1, wanted)]
    return {unit_of_shard(shard): owners[shard % len(owners)] for shard in range(SHARDS)}


def plan(owned: Mapping[str, int], alive: Sequence[str], wanted: int) -> dict[str, str]:
    """Who inherits from whom: every host that owns units (`owned`: how many) and does not live, to its heir.

    A dead host's units go together to one host that owns nothing yet (a standby), as long as fewer than `wanted` living
    hosts own units; else to the one that owns the fewest. The order of `alive` breaks ties, so that the plan is a
    function of its arguments.
    """
    counts = Counter({name: owned.get(name, 0) for name in alive})
    heirs: dict[str, str] = {}
    for lost in sorted(owned.keys() - counts.keys()) if alive else ():
        heirs[lost] = _heir(counts, alive, wanted)
        counts[heirs[lost]] += owned[lost]
    return heirs


def _heir(counts: Counter[str], alive: Sequence[str], wanted: int) -> str:
    standbys = [name for name in alive if counts[name] == 0]
    owners = [name for name in alive if counts[name] > 0]
    if standbys and len(owners) < wanted:
        return standbys[0]
    return min(owners or standbys, key=lambda name: counts[name])
