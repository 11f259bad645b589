"""Which units move where: a pure plan from hosts, leases, loads and pins to moves.

`plan_moves` goes through four steps, each of which only does what the ones before left to do: pinned units to their
hosts, units of dead and draining hosts to others, shards to hosts that join, shards from hosts with too much to do. A
unit that several steps touch still moves once: what counts is where it ends.

Terms: an *owner* has shards, a *standby* has nothing; a host *apart* has sessions only, because it is dedicated to them
or because they were pinned to it, and gets no shards; who is *leaving* is dead or draining.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType

from dspex_actors.sessions.roster import Cluster, Host, HostView, Move, Standbys

__all__ = ["HostView", "Move", "plan_moves"]

PERMILLE_HIGH = 1100
"""A host with more than this, of a mean of 1,000, gives shards away."""
PERMILLE_LOW = 1050
"""It stops when it has no more than this: what has been balanced may then change a little before anything moves."""
PERMILLE_LIGHT = 50
"""All shards of a host but the heaviest stay if together they are less: a hot one is no reason to clear its host of
idle ones."""
PERMILLE_OF_GAP = 800
"""Nor does a shard above that share of two hosts' difference move: where hosts have few shards it would only swap their
roles."""
_NOTHING: Mapping[str, float] = MappingProxyType({})
_NO_PINS: Mapping[str, str] = MappingProxyType({})
_weight = itemgetter(0)


def plan_moves(
    hosts: Sequence[HostView],
    owners: Mapping[str, str],
    wanted: int,
    weights: Mapping[str, float] = _NOTHING,
    pins: Mapping[str, str] = _NO_PINS,
    dedicated: Collection[str] = (),
) -> list[Move]:
    """The moves that bring every unit to a host that serves it, with the loads even and as few moves as that takes.

    Made of its arguments alone, so the same plan for the same cluster; once it is carried out, the next is empty.

    Args:
        hosts: Those that live; their order breaks ties.
        owners: Host by unit as the leases say, dead hosts included.
        wanted: How many hosts shall own shards, at least one; the others are standbys.
        weights: Load by unit, 0 or more; 1 for those that are missing.
        pins: By unit the host that it must be on while that lives and is not draining.
        dedicated: Sessions that share a host with nobody. What is left of theirs goes to an empty dedicated host or a
            standby, which is dedicated from then on; while there is none, it waits.

    >>> hosts = [HostView("a"), HostView("b")]
    >>> plan_moves(hosts, {"shard:0": "lost", "shard:1": "a"}, wanted=2)
    [Move(unit='shard:0', source=None, target='b')]
    """
    cluster = Cluster(hosts, owners, weights, pins, dedicated)
    standbys = Standbys(cluster.hosts.values())
    _rehouse(cluster, standbys, max(1, wanted))
    _join(cluster, standbys, max(1, wanted))
    _balance(cluster)
    return cluster.moves()


def _rehouse(cluster: Cluster, standbys: Standbys, wanted: int) -> None:
    """Find a host for every unit that cannot stay: a standby for all of one host while owners are wanted."""
    givers = [host for host in cluster.hosts.values() if host.leaving or (host.apart and host.shards)]
    givers.sort(key=lambda host: (host.living, -host.load, host.view.name))
    owners, spread, lonely = cluster.owners(), list[tuple[int, str]](), list[tuple[int, str]]()
    for giver in givers:
        bundle, own = _leave(cluster, giver)
        lonely += own
        heir = standbys.take() if giver.shards and len(owners) < wanted else None
        if heir is None:
            spread += bundle
            continue
        for entry in bundle:
            cluster.give(entry, heir)
        owners.append(heir)
    _spread(cluster, spread, owners, standbys)
    _isolate(cluster, lonely, standbys)


def _leave(cluster: Cluster, giver: Host) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """What has to go from a host: what may share one with others, and what may not."""
    if not giver.leaving:
        return giver.shards, []
    if giver.view.dedicated:
        return giver.shards, giver.fixed
    lonely = [entry for entry in giver.fixed if entry[1] in cluster.dedicated]
    return giver.shards + [entry for entry in giver.fixed if entry[1] not in cluster.dedicated], lonely


def _spread(cluster: Cluster, units: list[tuple[int, str]], owners: list[Host], standbys: Standbys) -> None:
    """Each to the owner with the least to do, the heaviest first."""
    if units and not owners:
        owners = _somebody(cluster, standbys)
    queue = [(host.load, host.rank, host) for host in owners]
    heapq.heapify(queue)
    for entry in sorted(units, key=lambda entry: (-entry[0], entry[1])) if queue else ():
        host = queue[0][2]
        cluster.give(entry, host)
        heapq.heapreplace(queue, (host.load, host.rank, host))


def _somebody(cluster: Cluster, standbys: Standbys) -> list[Host]:
    """Where nobody owns shards: a standby, else a host to which sessions were pinned that may share it."""
    standby = standbys.take()
    if standby is not None:
        return [standby]
    may = [host for host in cluster.hosts.values() if not host.leaving and not host.view.dedicated]
    shared = [host for host in may if not any(unit in cluster.dedicated for _, unit in host.fixed)]
    for host in shared:
        host.apart = False
    return shared


def _isolate(cluster: Cluster, units: list[tuple[int, str]], standbys: Standbys) -> None:
    """Each to a host of its own."""
    empty = [h for h in cluster.hosts.values() if h.view.dedicated and not h.leaving and not h.fixed]
    for entry, host in zip(sorted(units), empty, strict=False):
        cluster.give(entry, host)
    for entry in sorted(units)[len(empty) :]:
        heir = standbys.take(to_own=False)
        if heir is None:
            return
        cluster.give(entry, heir)


def _join(cluster: Cluster, standbys: Standbys, wanted: int) -> None:
    """Make owners of standbys while some are wanted: they get shards from those that have most, up to the mean."""
    owners = cluster.owners()
    count = min(wanted - len(owners), standbys.count, sum(host.spare for host in owners))
    joining = [host for host in (standbys.take() for _ in range(count)) if host]
    if not joining:
        return
    mean = sum(host.load for host in owners + joining) // (len(owners) + len(joining))
    givers = [(-host.load, host.rank, host) for host in owners]
    heapq.heapify(givers)
    for host in joining:
        _begin(cluster, givers, host, mean)
    takers = [(host.load, host.rank, host) for host in joining]
    heapq.heapify(takers)
    while givers and takers and takers[0][2].load < mean < givers[0][2].load:
        _fill(cluster, givers, takers, mean)


def _begin(cluster: Cluster, givers: list[tuple[int, int, Host]], taker: Host, mean: int) -> None:
    """The first shard, without which it would be no owner."""
    while givers[0][2].spare < 1:
        heapq.heappop(givers)
    giver = givers[0][2]
    need = min(giver.load - mean, mean - taker.load)
    cluster.shift(giver, max(0, bisect_right(giver.ordered(), need, key=_weight) - 1), taker)
    heapq.heapreplace(givers, (-giver.load, giver.rank, giver))


def _fill(
    cluster: Cluster, givers: list[tuple[int, int, Host]], takers: list[tuple[int, int, Host]], mean: int
) -> None:
    """One more for the host that needs it most, if that leaves it with less than the fullest had."""
    giver, taker = givers[0][2], takers[0][2]
    need = min(giver.load - mean, mean - taker.load)
    index = _fitting(giver, 0, need, giver.load - taker.load)
    if index is None:
        heapq.heappop(givers)
        return
    cluster.shift(giver, index, taker)
    heapq.heapreplace(givers, (-giver.load, giver.rank, giver))
    heapq.heapreplace(takers, (taker.load, taker.rank, taker))


def _fitting(giver: Host, first: int, best: int, gap: int) -> int | None:
    """The place, from `first` on, of the heaviest shard up to `best`, else of the next if well below the difference."""
    if giver.spare < 1:
        return None
    shards = giver.ordered()
    above = bisect_right(shards, best, lo=first, key=_weight)
    if above > first:
        return above - 1
    return above if above < len(shards) and shards[above][0] * 1000 <= gap * PERMILLE_OF_GAP else None


def _balance(cluster: Cluster) -> None:
    """Take shards from hosts far above the mean, each to the host with least to do, while that lowers the higher load.

    A host that cannot give any shard never can later: the least load only rises. So the next plan finds nothing to do.
    """
    owners = cluster.owners()
    total = sum(host.load for host in owners)
    mean = total // max(1, len(owners))
    high, low = mean * PERMILLE_HIGH // 1000, mean * PERMILLE_LOW // 1000
    givers = [(-host.load, host.rank, host) for host in owners if host.load > high]
    takers = [(host.load, host.rank, host) for host in owners] if givers else []
    heapq.heapify(givers)
    heapq.heapify(takers)
    while givers:
        load, _, giver = heapq.heappop(givers)
        if -load != giver.load or giver.load <= low:
            continue  # it has had its turn since, or has enough room
        taker = _relieve(cluster, giver, takers, mean)
        if taker is not None:
            heapq.heappush(givers, (-giver.load, giver.rank, giver))
            if taker.load > high:
                heapq.heappush(givers, (-taker.load, taker.rank, taker))


def _relieve(cluster: Cluster, giver: Host, takers: list[tuple[int, int, Host]], mean: int) -> Host | None:
    """Move the shard that suits best to the host with the least to do, if there is one."""
    while takers[0][0] != takers[0][2].load:
        heapq.heappop(takers)  # its load has changed since
    taker, shards = takers[0][2], giver.ordered()
    light = giver.movable - shards[-1][0] if shards else 0
    first = 0 if light * 1000 >= mean * PERMILLE_LIGHT else max(0, len(shards) - 1)
    index = _fitting(giver, first, min(giver.load - mean, mean - taker.load), giver.load - taker.load)
    if index is None:
        return None
    cluster.shift(giver, index, taker)
    for host in (giver, taker):
        heapq.heappush(takers, (host.load, host.rank, host))
    return taker
