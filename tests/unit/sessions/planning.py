"""A cluster as the planner is shown it, for its tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dspex_actors.sessions.planner import HostView, Move, plan_moves

SHARDS = [f"shard:{number}" for number in range(40)]
SESSIONS = [f"session:{number}" for number in range(5)]
NAMES = [f"host-{number}" for number in range(7)]
DEAD = ["dead-1", "dead-2"]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a plan is made of."""

    hosts: list[HostView]
    owners: dict[str, str]
    wanted: int
    weights: dict[str, float] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    dedicated: frozenset[str] = frozenset()

    def plan(self) -> list[Move]:
        """Its moves."""
        return plan_moves(self.hosts, self.owners, self.wanted, self.weights, self.pins, self.dedicated)

    def after(self, moves: list[Move]) -> Cluster:
        """When they have been carried out."""
        return replace(self, owners=self.owners | {move.unit: move.target for move in moves})

    def shards_of(self, name: str) -> list[str]:
        """Those that it owns."""
        return [unit for unit, owner in self.owners.items() if owner == name and unit.startswith("shard:")]

    def load(self, name: str) -> float:
        """What a host has to do."""
        own = next((host.load for host in self.hosts if host.name == name), 0.0)
        return own + sum(self.weights.get(unit, 1.0) for unit, owner in self.owners.items() if owner == name)

    def takers(self) -> list[HostView]:
        """Who may get a shard."""
        return [host for host in self.hosts if not host.draining and not host.dedicated]

    def shard_owners(self) -> list[str]:
        """The takers that have one."""
        return [host.name for host in self.takers() if self.shards_of(host.name)]


def even(hosts: int, shards: int = 1024, standbys: int = 0, nodes: int = 1) -> Cluster:
    """Shards spread over the first `hosts`; all of them shall be owners, no standby."""
    views = [HostView(f"host-{n}", f"node-{n % nodes}") for n in range(hosts + standbys)]
    return Cluster(views, {f"shard:{n}": f"host-{n % hosts}" for n in range(shards)}, hosts)


def without(cluster: Cluster, *names: str) -> Cluster:
    """These hosts died."""
    return replace(cluster, hosts=[host for host in cluster.hosts if host.name not in names])


def changed(cluster: Cluster, name: str, **change: bool) -> Cluster:
    """One host is another now."""
    hosts = [replace(host, **change) if host.name == name else host for host in cluster.hosts]  # type: ignore[arg-type]
    return replace(cluster, hosts=hosts)
