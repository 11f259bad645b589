"""Who runs which unit: a pure plan from leases and living hosts to moves, and the table that routers go by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dspex_actors.ids import SHARDS, unit_of_shard
from dspex_actors.store.port import Lease


@dataclass(frozen=True, slots=True)
class HostInfo:
    """A host that says it is there. `started` is the process's start time, so that a reused pid is no host."""

    name: str
    address: str
    pid: int
    started: float
    node: str


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


def plan(leases: Sequence[Lease], alive: Sequence[str], wanted: int) -> dict[str, list[Lease]]:
    """Which leases to take over for which host, so that no unit is left on a host that is gone.

    A dead host's units go together to one host that owns nothing yet (a standby), as long as fewer than `wanted` living
    hosts own units; else to the one that owns the fewest. The order of `alive` breaks ties, so that the plan is a
    function of its arguments.
    """
    living = set(alive)
    owned = Counter(dict.fromkeys(alive, 0))
    orphans: dict[str, list[Lease]] = {}
    for lease in leases:
        if lease.host in living:
            owned[lease.host] += 1
        else:
            orphans.setdefault(lease.host, []).append(lease)
    moves: dict[str, list[Lease]] = {}
    for lost in sorted(orphans):
        if not alive:
            break
        heir = _heir(owned, alive, wanted)
        moves.setdefault(heir, []).extend(orphans[lost])
        owned[heir] += len(orphans[lost])
    return moves


def _heir(owned: Counter[str], alive: Sequence[str], wanted: int) -> str:
    standbys = [name for name in alive if owned[name] == 0]
    owners = [name for name in alive if owned[name] > 0]
    if standbys and len(owners) < wanted:
        return standbys[0]
    return min(owners or standbys, key=lambda name: owned[name])
