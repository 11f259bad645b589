"""Who runs which unit: a pure plan from leases and living hosts to moves, and the table that routers go by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from dspex_actors.errors import NoCapacity, NotFound
from dspex_actors.ids import SHARDS, unit_of_shard
from dspex_actors.sessions.planner import HostView
from dspex_actors.sessions.tls import TlsAddress


@dataclass(frozen=True, slots=True)
class HostInfo:
    """A host that says it is there. `started` is the process's start time, so that a reused pid is no host.

    `state_version` is the newest form of a state that it can read. One that is `draining` has been told to give all it
    has away, and ends then. `probation` is the session whose suspect turn it is there for alone, `dedicated` the one
    that it is there for, and nothing else, until it ends. `address` is its socket, of use on its own `node` (Ray's id)
    only; at `remote` it listens for routers on others, if it does.
    """

    name: str
    address: str
    pid: int
    started: float
    node: str
    state_version: int = 1
    draining: bool = False
    probation: str | None = None
    remote: TlsAddress | None = None
    dedicated: str | None = None


def readable_by_all(hosts: Iterable[HostInfo]) -> int:
    """The newest form of a state that every one of them can read; 0 where there is none of them."""
    return min((host.state_version for host in hosts), default=0)


def lifeline_of(address: Path | str) -> Path:
    """Where the host that listens at `address` has its lifeline."""
    return Path(address).with_suffix(".life")


class Place(NamedTuple):
    """Where a session is served, by the lease of which unit: nowhere at the moment if `host` is None."""

    unit: str
    host: str | None
    node: str | None
    epoch: int


@dataclass(frozen=True, slots=True)
class Table:
    """Where every unit is served. A higher `version` replaces a lower one.

    Attributes:
        hosts: Socket by name, standbys included, so that routers are connected before they are needed.
        nodes: Ray's node id by host.
        units: Host and epoch by unit; a unit whose host is gone is missing.
        remotes: Where hosts listen for routers on other nodes, for those that do.
    """

    version: int
    hosts: Mapping[str, str]
    units: Mapping[str, tuple[str, int]]
    draining: bool = False
    nodes: Mapping[str, str] = field(default_factory=dict)
    remotes: Mapping[str, TlsAddress] = field(default_factory=dict)

    def way(self, host: str, node: str) -> str | TlsAddress | None:
        """How a router on that node reaches a host: by its socket there, from elsewhere by TLS; None if by neither."""
        return self.hosts[host] if self.nodes.get(host, node) == node else self.remotes.get(host)


def in_turns(hosts: Iterable[HostView]) -> list[str]:
    """Their names, the nodes taking turns, the fullest ahead: so the first of them are on as many nodes as can be, and
    so are the last.

    >>> in_turns([HostView("a", "n1"), HostView("b", "n2"), HostView("c", "n2")])
    ['b', 'a', 'c']
    """
    on: dict[str, list[str]] = {}
    for host in hosts:
        on.setdefault(host.node, []).append(host.name)
    nodes = sorted(on.values(), key=len, reverse=True)
    return [name for turn in zip_longest(*nodes) for name in turn if name is not None]


def first_owners(hosts: Sequence[str], wanted: int) -> dict[str, str]:
    """Every shard's first owner: spread evenly over the first `wanted` hosts."""
    owners = hosts[: max(1, wanted)]
    return {unit_of_shard(shard): owners[shard % len(owners)] for shard in range(SHARDS)}


@dataclass(frozen=True, slots=True)
class Migrated:
    """A session has moved. `pause_ms`: how long it took no turns, its own turn not counted."""

    source: str
    target: str
    pause_ms: float


@dataclass(frozen=True, slots=True)
class Drained:
    """A host gives away what it has: so many units have `moved`, so many are `left`; `done` when it has ended."""

    host: str
    moved: int
    left: int
    done: bool


def choose(host: str | None, source: str, hosts: Sequence[HostView]) -> str:
    """The host to move something to from `source`: the named one, else another one with the least to do.

    Raises:
        NotFound: There is no host of that name.
        NoCapacity: None can take it.
    """
    named = [view for view in hosts if view.name == host]
    if host is not None and not named:
        raise NotFound(f"There is no host {host!r}; these live: {', '.join(view.name for view in hosts) or 'none'}.")
    others = [view for view in hosts if view.name != source and not view.dedicated]
    free = [view for view in named or others if not view.draining]
    if not free:
        raise NoCapacity("No other host can take it at the moment: start one more, or try again.", retry_after_s=2)
    return min(free, key=lambda view: view.load).name
