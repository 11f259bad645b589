"""What a host holds leases of, and which turns it lets in by them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from dspex_actors.sessions.activation import Ask
from dspex_actors.sessions.events import Waiter
from dspex_actors.sessions.lease_wait import LeaseWait
from dspex_actors.store.port import Lease

REMEMBERED = 4096
"""Units given up whose epochs are kept, so that a stale router is told at once; more than there are shards."""


class Tenure:
    """The leases of one host.

    Args:
        loop: Where all of this happens.
        deliver: Takes a turn that may come in.
        refuse: Tells somebody to look elsewhere.
        release: Ends the activations of these units.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[Ask, Waiter, float], None],
        refuse: Callable[[Waiter], None],
        release: Callable[[Collection[str]], None],
    ) -> None:
        self._deliver, self._refuse, self._release = deliver, refuse, release
        self._held: dict[str, int] = {}
        self._given_up: dict[str, int] = {}
        self._closed: set[str] = set()
        self._wait = LeaseWait(loop, refuse)

    def __contains__(self, unit: str) -> bool:
        return unit in self._held

    def holds(self, unit: str, epoch: int) -> bool:
        """Whether turns may begin under that lease."""
        return self._held.get(unit) == epoch and unit not in self._closed

    def epoch(self, unit: str) -> int | None:
        """The epoch of the lease that is held."""
        return self._held.get(unit)

    def open_leases(self) -> dict[str, int]:
        """The epochs of the leases that are held and stay, by unit."""
        return {unit: epoch for unit, epoch in self._held.items() if unit not in self._closed}

    @property
    def shards(self) -> int:
        """How many shards are held."""
        return sum(unit.startswith("shard:") for unit in self._held)

    @property
    def units(self) -> int:
        """How many leases are held."""
        return len(self._held)

    def own(self, leases: Iterable[Lease]) -> None:
        """These are ours, at these epochs. What ran under a lower epoch is given back first."""
        for lease in leases:
            held = self._held.get(lease.unit)
            if held is not None and held >= lease.epoch:
                continue
            if held is not None:
                self._release({lease.unit})
            self.take(lease)
            for waiting in self._wait.take(lease.unit):
                self.admit(*waiting)

    def take(self, lease: Lease) -> None:
        """This lease is ours, and what runs under an older one goes on: the caller sees to its epoch."""
        self._held[lease.unit] = lease.epoch
        self._closed.discard(lease.unit)

    def disown(self, units: Iterable[str]) -> None:
        """These units are another host's now."""
        gone = {unit: self._held.pop(unit) for unit in set(units) if unit in self._held}
        self._closed.difference_update(gone)
        self._given_up.update(gone)
        if gone:
            self._release(gone)  # at once: there may be a thousand units, and as many activations
        while len(self._given_up) > REMEMBERED:
            del self._given_up[next(iter(self._given_up))]

    def close(self, names: Iterable[str]) -> None:
        """Let nothing new into these units or sessions (by uid): they are about to leave."""
        self._closed.update(names)

    def open(self, names: Iterable[str]) -> None:
        """Let turns in again, as far as the leases are held."""
        self._closed.difference_update(names)

    def admit(self, ask: Ask, waiter: Waiter, until: float) -> None:
        """Let a turn in, keep it for a lease that is about to come, or tell it to look elsewhere."""
        held = self._held.get(ask.unit, self._given_up.get(ask.unit, 0))
        if held < ask.epoch:
            self._wait.add(ask, waiter, until)
        elif self.holds(ask.unit, ask.epoch) and ask.uid not in self._closed:
            self._deliver(ask, waiter, until)
        else:
            self._refuse(waiter)
