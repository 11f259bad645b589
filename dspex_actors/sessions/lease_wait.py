"""Turns that reached a host before the lease that their router already knows of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dspex_actors.sessions.activation import Ask
from dspex_actors.sessions.events import Waiter

LEASE_WAIT_S = 1.0
"""How long a host waits for a lease that a router already knows of."""

Item = tuple[Ask, Waiter, float]


class LeaseWait:
    """Keeps turns in the order of their arrival, by unit; `give_up` hears of those whose lease does not come."""

    def __init__(self, loop: asyncio.AbstractEventLoop, give_up: Callable[[Waiter], None]) -> None:
        self._loop = loop
        self._give_up = give_up
        self._items: dict[str, list[Item]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def add(self, ask: Ask, waiter: Waiter, until: float) -> None:
        """Keep a turn for a while."""
        item = (ask, waiter, until)
        self._items.setdefault(ask.unit, []).append(item)
        self._loop.call_later(LEASE_WAIT_S, self._late, ask.unit, item)

    def take(self, unit: str) -> list[Item]:
        """The unit's turns, which wait no longer."""
        return self._items.pop(unit, [])

    def _late(self, unit: str, item: Item) -> None:
        if any(held is item for held in self._items.get(unit, ())):
            # All of them: one that came later must not find the lease before one that is sent again.
            for _, waiter, _ in self.take(unit):
                self._give_up(waiter)
