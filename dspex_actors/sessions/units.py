"""What placement knows of the units: who has which, which are on their way, and what the planner makes of it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dspex_actors.ids import unit_of_session, unit_of_shard
from dspex_actors.sessions.planner import HostView, plan_moves
from dspex_actors.store.port import NOBODY, Lease

SESSION = unit_of_session("")


@dataclass(frozen=True, slots=True)
class Carry:
    """Units that a living host gives to another one."""

    source: str
    target: str
    leases: tuple[Lease, ...]

    def parted(self) -> tuple[Carry, list[Carry]]:
        """Its shards, which go together, and each session that has a lease of its own."""
        sessions = [lease for lease in self.leases if lease.unit.startswith(SESSION)]
        shards = tuple(lease for lease in self.leases if not lease.unit.startswith(SESSION))
        return replace(self, leases=shards), [replace(self, leases=(lease,)) for lease in sessions]


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to move: the units of hosts that are gone, by heir, and what living hosts hand over."""

    heirs: Mapping[str, Mapping[str, Sequence[Lease]]]
    carries: Sequence[Carry]


class Units:
    """The leases, as far as placement knows: what it reads from the store, and what it has heard since.

    Attributes:
        dedicated: Units of dedicated sessions, which no plan touches: each goes from one host of its own to another.
    """

    def __init__(self, leases: Iterable[Lease] = ()) -> None:
        self._leases: dict[str, Lease] = {}
        self._moving: dict[str, str] = {}
        self._expecting = Counter[str]()
        self.dedicated: set[str] = set()
        self.replace(leases)

    def __len__(self) -> int:
        return len(self._leases)

    @property
    def all(self) -> Collection[Lease]:
        """Every lease."""
        return self._leases.values()

    @property
    def owners(self) -> set[str]:
        """Every host that some lease names."""
        return {lease.host for lease in self._leases.values()}

    @property
    def session_hosts(self) -> set[str]:
        """Hosts that have leases of sessions and no others."""
        sharing = [lease for lease in self.all if self._is_shared(lease)]
        return {lease.host for lease in sharing} - {x.host for x in sharing if not x.unit.startswith(SESSION)}

    @property
    def alone(self) -> set[str]:
        """Hosts that have the lease of a dedicated session."""
        return {lease.host for lease in self.all if lease.unit in self.dedicated} - {NOBODY}

    def are_served(self, living: Collection[str]) -> bool:
        """Whether no shard waits for a host."""
        owners = {lease.host for lease in self.all if not lease.unit.startswith(SESSION)}
        return bool(owners) and owners.issubset(living)

    def _is_shared(self, lease: Lease) -> bool:
        return lease.unit not in self.dedicated and lease.host != NOBODY

    def of(self, host: str) -> list[Lease]:
        """The leases of one host."""
        return [lease for lease in self._leases.values() if lease.host == host]

    def of_session(self, uid: str, shard: int) -> Lease | None:
        """The lease that a session is served under."""
        return self._leases.get(unit_of_session(uid)) or self._leases.get(unit_of_shard(shard))

    def own_of_session(self, uid: str) -> Lease | None:
        """The lease of its own that a session has."""
        return self._leases.get(unit_of_session(uid))

    def home(self, shard: int) -> str | None:
        """The host of a shard."""
        lease = self._leases.get(unit_of_shard(shard))
        return lease.host if lease is not None else None

    def replace(self, leases: Iterable[Lease]) -> None:
        """What the store says now."""
        self._leases = {lease.unit: lease for lease in leases}

    def learn(self, leases: Iterable[Lease]) -> None:
        """What has become of these; what is known to be newer stays."""
        for lease in leases:
            known = self._leases.get(lease.unit)
            if known is None or known.epoch <= lease.epoch:
                self._leases[lease.unit] = lease

    def forget(self, unit: str) -> None:
        """A session that has no lease of its own any more."""
        self._leases.pop(unit, None)

    def forget_sessions_of(self, lost: str) -> None:
        """Those that had leases of their own at a lost host are their shards' again."""
        for lease in self.of(lost):
            if lease.unit.startswith(SESSION) and self._is_shared(lease):
                del self._leases[lease.unit]

    def begin(self, carry: Carry) -> None:
        """These units are on their way: nobody else moves them, and the plan counts them as there."""
        self._moving.update({lease.unit: carry.target for lease in carry.leases})

    def end(self, carry: Carry) -> None:
        """They have arrived, or not."""
        for lease in carry.leases:
            self._moving.pop(lease.unit, None)

    def is_expected(self, host: str) -> bool:
        """Whether units are on their way to a host."""
        return host in self._moving.values() or self._expecting[host] > 0

    def is_in_use(self, host: str) -> bool:
        """Whether a host has anything, or is about to."""
        return self.is_expected(host) or any(lease.host == host for lease in self.all)

    @contextlib.contextmanager
    def expecting(self, host: str) -> Iterator[None]:
        """Meanwhile something is on its way to that host: it is nobody's standby."""
        self._expecting[host] += 1
        try:
            yield
        finally:
            self._expecting -= Counter([host])

    def plan(self, hosts: Sequence[HostView], wanted: int, hidden: Collection[str] = ()) -> Plan:
        """What has to move. Hosts that are `hidden`, alive as far as one knows, keep what they have until they show up.

        Args:
            hosts: Those that live, in the order of their coming.
            wanted: How many of them shall own shards.
            hidden: Those that may live, and cannot be told anything.
        """
        alone = self.alone
        views = [replace(view, dedicated=view.dedicated or view.name in alone) for view in hosts]
        views += [HostView(name, dedicated=name in alone) for name in hidden]
        living = {view.name for view in views}
        under_way = {
            unit: target
            for unit, target in self._moving.items()
            if unit in self._leases and self._leases[unit].host in living and target in living
        }
        owners = {
            unit: under_way.get(unit, lease.host)
            for unit, lease in self._leases.items()
            if self._is_shared(lease) and (lease.host in living or not unit.startswith(SESSION))
        }
        heirs: dict[str, dict[str, list[Lease]]] = {}
        carried: dict[tuple[str, str], list[Lease]] = {}
        for unit, source, target in plan_moves(views, owners, wanted):
            lease = self._leases[unit]
            if target in hidden or source in hidden or unit in under_way:
                continue
            if source is None:
                heirs.setdefault(lease.host, {}).setdefault(target, []).append(lease)
            else:
                carried.setdefault((source, target), []).append(lease)
        for lease, target in self._strays([view for view in hosts if view.name in alone and not view.draining], owners):
            carried.setdefault((lease.host, target), []).append(lease)
        if hosts:  # whom nobody inherits a shard of is inherited too: by that its sessions become their shards' again
            heirs |= {lost: {hosts[0].name: []} for lost in self.session_hosts - living}
        return Plan(heirs, [Carry(source, target, tuple(found)) for (source, target), found in carried.items()])

    def _strays(self, hosts: Sequence[HostView], owners: Mapping[str, str]) -> Iterator[tuple[Lease, str]]:
        """Sessions that share the host of a dedicated one, and a host of shards: there they are on the way home."""
        names = {view.name for view in hosts}
        there = [lease for lease in self.all if lease.host in names and lease.unit.startswith(SESSION)]
        away = sorted({host for unit, host in owners.items() if not unit.startswith(SESSION)} - names)[:1]
        for lease in there:
            if lease.unit in owners and lease.unit not in self._moving:
                yield from ((lease, target) for target in away)


def idle_hosts(hosts: Sequence[HostView], units: Units) -> list[str]:
    """Hosts with nothing to do, now or soon, and no end in sight; the newest last."""
    return [view.name for view in hosts if not (view.draining or view.dedicated or units.is_in_use(view.name))]
