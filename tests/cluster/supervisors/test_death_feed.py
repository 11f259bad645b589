"""What a feed of deaths does when Ray's control store is away."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from supervisors import ray_watch
from supervisors.ray_watch import DeathFeed


class Subscriber:
    """Ray's, whose first poll finds the control store away: it gives nothing, at once."""

    made: list[Subscriber]
    renewed: asyncio.Event

    def __init__(self, address: str) -> None:
        self.made.append(self)
        self._closed = asyncio.Event()

    async def subscribe(self) -> None:
        """It has."""

    async def poll(self, batch_size: int, timeout: float) -> list[Any]:
        """The second one waits until it is closed."""
        if len(self.made) > 1:
            self.renewed.set()
            await self._closed.wait()
        await asyncio.sleep(0)
        return []

    async def close(self) -> None:
        """End the poll."""
        self._closed.set()


def test_a_poll_that_gives_nothing_at_once_is_no_quiet_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking again at once would fill a processor for as long as the control store is away: it subscribes anew."""
    Subscriber.made, Subscriber.renewed = [], asyncio.Event()
    monkeypatch.setattr(ray_watch, "GcsAioActorSubscriber", Subscriber)
    monkeypatch.setattr("supervisors.ray_watch.ray.get_runtime_context", lambda: SimpleNamespace(gcs_address="here"))

    async def scenario() -> None:
        feed = DeathFeed()
        await feed.open()
        await asyncio.wait_for(Subscriber.renewed.wait(), 10)
        await feed.close()

    asyncio.run(scenario())
