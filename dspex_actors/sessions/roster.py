"""Who has what while a plan is made: hosts, standbys and the cluster, as lists that `planner` moves units between.

Loads are whole numbers here, so that neither the order of additions nor rounding decides anything.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

GRAIN = 1_000_000_000
"""Loads are counted in whole billionths; every unit weighs one at least, so that idle ones are spread by number."""
SESSION = "session:"


@dataclass(frozen=True, slots=True)
class HostView:
    """A host as the planner sees it.

    Attributes:
        load: What it has to do beside its units, in the unit of their weights.
        draining: It takes nothing, and gives away all it has.
        dedicated: It serves sessions of their own only, never shards.
    """

    name: str
    node: str = ""
    load: float = 0.0
    draining: bool = False
    dedicated: bool = False


class Move(NamedTuple):
    """One unit to another host. `source` is who has to be asked for it: nobody (None) where the owner does not live."""

    unit: str
    source: str | None
    target: str


@dataclass(slots=True, eq=False)
class Host:
    """A host in the making of a plan.

    Attributes:
        load: Of all that it has; `movable`: of its `shards`.
        shards: Those that may move, (weight, unit) each.
        fixed: What only leaves with all the rest: sessions, and `anchored` shards, which are pinned to it.
        apart: It gets no shards.
        in_order: Whether the shards are sorted.
    """

    view: HostView
    rank: int
    living: bool = True
    load: int = 0
    movable: int = 0
    shards: list[tuple[int, str]] = field(default_factory=list)
    fixed: list[tuple[int, str]] = field(default_factory=list)
    anchored: int = 0
    apart: bool = False
    in_order: bool = False

    @property
    def leaving(self) -> bool:
        """Whether it is dead or draining."""
        return not self.living or self.view.draining

    @property
    def takes_shards(self) -> bool:
        """Whether it may own shards."""
        return not self.leaving and not self.apart

    @property
    def owns_shards(self) -> bool:
        """Whether it has any, pinned ones (`anchored`) included."""
        return bool(self.shards) or self.anchored > 0

    @property
    def spare(self) -> int:
        """How many shards it can give away and stay an owner."""
        return len(self.shards) - (not self.anchored)

    def ordered(self) -> list[tuple[int, str]]:
        """Its shards, the lightest first."""
        if not self.in_order:
            self.shards.sort()
            self.in_order = True
        return self.shards


class Standbys:
    """Hosts with nothing to do: those on the nodes with the fewest owners come first."""

    def __init__(self, hosts: Iterable[Host]) -> None:
        by_node: dict[str, list[Host]] = {}
        owners: Counter[str] = Counter()
        for host in hosts:
            if host.takes_shards:
                owners[host.view.node] += host.owns_shards
                if not host.owns_shards:
                    by_node.setdefault(host.view.node, []).append(host)
        for idle in by_node.values():
            idle.reverse()
        self._queue = [(owners[node], idle[-1].rank, idle) for node, idle in by_node.items()]
        heapq.heapify(self._queue)
        self.count = sum(len(idle) for idle in by_node.values())

    def take(self, *, to_own: bool = True) -> Host | None:
        """The next one, to own shards or to serve a session alone."""
        if not self._queue:
            return None
        owners, _, idle = heapq.heappop(self._queue)
        host = idle.pop()
        self.count -= 1
        if idle:
            heapq.heappush(self._queue, (owners + to_own, idle[-1].rank, idle))
        return host


class Cluster:
    """Who has what, while the plan is made; and where the units that were touched are now."""

    def __init__(
        self,
        hosts: Sequence[HostView],
        owners: Mapping[str, str],
        weights: Mapping[str, float],
        pins: Mapping[str, str],
        dedicated: Collection[str],
    ) -> None:
        self._owners = owners
        self._now: dict[str, str] = {}
        self.dedicated = frozenset(dedicated)
        self.hosts = {
            view.name: Host(view, rank, load=round(view.load * GRAIN), apart=view.dedicated)
            for rank, view in enumerate(hosts)
        }
        for unit, name in owners.items():
            host = self.hosts.get(name) or self._dead(name)
            weight = int(weights.get(unit, 1.0) * GRAIN) or 1
            if unit in pins or unit.startswith(SESSION):
                self._fix(unit, weight, host, pins.get(unit))
            else:
                host.shards.append((weight, unit))
        for host in self.hosts.values():
            host.movable = sum(map(itemgetter(0), host.shards))
            host.load += host.movable
            host.apart = host.apart or (bool(host.fixed) and not host.owns_shards)

    def _dead(self, name: str) -> Host:
        host = self.hosts[name] = Host(HostView(name), len(self.hosts), living=False)
        return host

    def _fix(self, unit: str, weight: int, host: Host, pin: str | None) -> None:
        """A pinned unit goes to its host while that can take it; a session without such a pin stays where it is."""
        shard = not unit.startswith(SESSION)
        home = self.hosts.get(pin) if pin is not None else None
        held = home is not None and not home.leaving and not (shard and home.apart)
        if home is not None and held:
            if home is not host:
                self._now[unit] = home.view.name
            host = home
        if shard and not held:
            host.shards.append((weight, unit))
            return
        host.fixed.append((weight, unit))
        host.load += weight
        host.anchored += shard

    def owners(self) -> list[Host]:
        """Hosts that have shards, and stay."""
        return [host for host in self.hosts.values() if host.takes_shards and host.owns_shards]

    def give(self, entry: tuple[int, str], target: Host) -> None:
        """Put a unit that is on no host's list on that of `target`."""
        weight, unit = entry
        if unit.startswith(SESSION):
            target.fixed.append(entry)
        else:
            target.shards.append(entry)
            target.movable += weight
            target.in_order = False
        target.load += weight
        self._now[unit] = target.view.name

    def shift(self, source: Host, index: int, target: Host) -> None:
        """Move a shard by its place in `source.ordered()`."""
        entry = source.shards.pop(index)
        source.load -= entry[0]
        source.movable -= entry[0]
        self.give(entry, target)

    def moves(self) -> list[Move]:
        """Those of dead hosts first, then by source and target, so that what can be moved at once is side by side."""
        changed = [(unit, self._owners[unit], target) for unit, target in self._now.items()]
        found = [
            (self.hosts[source].living, source, target, unit) for unit, source, target in changed if source != target
        ]
        return [Move(unit, source if living else None, target) for living, source, target, unit in sorted(found)]
