"""Dedicated sessions: which of them there are, which may have a host, and which need another one. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from dspex_actors.ids import unit_of_session
from dspex_actors.resources.session import Guest
from dspex_actors.sessions.planner import HostView
from dspex_actors.sessions.units import Units, idle_hosts
from dspex_actors.store.port import NOBODY, Lease


class Guests:
    """The dedicated sessions as the store says, by uid, and their leases among the `units`.

    Args:
        units: Placement's, which learns from here which of them are dedicated.
        limit: How many sessions may have a host. One that has had one is never sent away.
        moving: Those that get a host now, or another one: they count as having one.
    """

    def __init__(self, units: Units, limit: int, moving: Collection[str] = ()) -> None:
        self._units, self._limit, self._moving = units, limit, moving
        self._all: dict[str, Guest] = {}

    def __contains__(self, uid: str) -> bool:
        return uid in self._all

    def get(self, uid: str) -> Guest | None:
        """By uid; None when it was deleted."""
        return self._all.get(uid)

    def lease(self, uid: str) -> Lease | None:
        """What it is served by."""
        return self._units.own_of_session(uid)

    def moving(self, uid: str) -> Guest | None:
        """One that can be moved: it was not deleted, and has a lease."""
        return self._all.get(uid) if self.lease(uid) is not None else None

    def is_waiting(self, uid: str) -> bool:
        """Whether it has never had a host."""
        lease = self.lease(uid)
        return lease is None or lease.host == NOBODY

    def refresh(self, found: Iterable[tuple[Guest, Lease]]) -> None:
        """Go by what the store says."""
        now = {guest.uid: (guest, lease) for guest, lease in found}
        for uid in self._all.keys() - now.keys():
            self._units.forget(unit_of_session(uid))
        self._all = {uid: guest for uid, (guest, _) in now.items()}
        self._units.dedicated = {unit_of_session(uid) for uid in now}
        self._units.learn(lease for _, lease in now.values())

    def admitted(self) -> list[str]:
        """Those that may have a host: all that have had one, then the oldest up to the limit."""
        free = {uid for uid in self._all if self.is_waiting(uid) and uid not in self._moving}
        waiting, others = sorted(free), sorted(self._all.keys() - free)
        return others + waiting[: max(0, self._limit - len(others))]

    def hosts_wanted(self, hosts: Mapping[str, str], leaving: Collection[str]) -> int:
        """How many hosts there have to be for them: one each, and those that are there until their session has left.

        Args:
            hosts: Which session each dedicated host is there for.
            leaving: Hosts that are about to leave.
        """
        staying = sum(
            self._is_at(uid, name) and (name in leaving or uid in self._moving) for name, uid in hosts.items()
        )
        return len(self.admitted()) + staying

    def _is_at(self, uid: str, name: str) -> bool:
        return (lease := self.lease(uid)) is not None and lease.host == name

    def homeless(self, hosts: Mapping[str, str], staying: Collection[str], hidden: Collection[str]) -> list[str]:
        """Those that need a host.

        Args:
            hosts: Which session each dedicated host is there for.
            staying: Hosts that live and are not about to leave.
            hidden: Hosts that may live, and cannot be asked.
        """
        homes = {uid: lease.host for uid in self.admitted() if (lease := self.lease(uid)) is not None}
        return [
            uid
            for uid, home in homes.items()
            if home not in hidden and not (home in staying and hosts.get(home) == uid)
        ]

    def left_behind(self, hosts: Mapping[str, str], moving: Collection[str]) -> list[str]:
        """Dedicated hosts whose session is gone, or has another host. Nobody else may use them."""
        return [
            name
            for name, uid in hosts.items()
            if uid not in moving and ((lease := self.lease(uid)) is None or lease.host != name)
        ]


def removable(hosts: Sequence[HostView], units: Units) -> list[str]:
    """Hosts that may end where there are too many, the best one first.

    Those that leave and have given everything away come first: each would only be followed by another one. Then the
    idle ones, but for as many as there are hosts that have still something to give away.
    """
    leaving = [view.name for view in hosts if view.draining]
    empty = [name for name in leaving if not units.is_in_use(name)]
    idle = idle_hosts(hosts, units)
    return empty + idle[: max(0, len(idle) - (len(leaving) - len(empty)))]
