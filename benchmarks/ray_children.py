"""Children that are Ray actors: from SIGKILL until it is noticed, and until the next one answers."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import ray

from supervisors import Child, ChildSpec, Supervisor
from supervisors.observe import Happening

WAIT_S = 60.0
LEAST = {"num_cpus": 0}


class Worker:
    """What is supervised, and what Ray restarts."""

    def ping(self) -> int:
        """It answers, and says which process it is."""
        return os.getpid()


@dataclass(slots=True)
class Kills:
    """Of one way to restart: milliseconds after each SIGKILL. Ray does not say when it noticed.

    `detected`: its supervisor knows that it is gone; `told`: whoever listens to the supervisor's events does.
    """

    detected_ms: list[float] = field(default_factory=list)
    told_ms: list[float] = field(default_factory=list)
    answered_ms: list[float] = field(default_factory=list)


@contextmanager
def own_ray() -> Iterator[None]:
    """A Ray of one node, in a folder of its own; all of it is gone afterwards."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    folder = tempfile.mkdtemp(prefix="bs", dir="/tmp")  # Ray's sockets need a short path
    try:
        ray.init(
            address="local", _temp_dir=folder, num_cpus=4, object_store_memory=80_000_000,
            include_dashboard=False, log_to_driver=False,
        )  # fmt: skip
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


class Supervised:
    """A child of a supervisor, with or without a warm spare."""

    def __init__(self, spares: int) -> None:
        self._spec = ChildSpec("a", start=Worker, options=LEAST, spares=spares)
        self.kills = Kills()

    async def start(self) -> None:
        """Start it."""
        self._sup = await Supervisor.start(children=[self._spec], max_restarts=1_000, backend="ray")
        self._events = self._sup.events()
        child = (await self._sup.which_child("a")).child
        assert isinstance(child, Child)
        self._child, self._pid = child, child.pid

    async def kill(self) -> None:
        """Kill it and look."""
        began, at = time.perf_counter(), datetime.now(UTC)
        os.kill(self._pid, signal.SIGKILL)
        exited = await _next(self._events, "exited")
        self.kills.told_ms.append((time.perf_counter() - began) * 1e3)
        self.kills.detected_ms.append((datetime.fromisoformat(exited.at) - at) / timedelta(milliseconds=1))
        happening = await _next(self._events, "restarted")
        assert happening.name is not None
        heir = ray.get_actor(happening.name, namespace=self._child.namespace)
        self._pid = await heir.ping.remote()
        self.kills.answered_ms.append((time.perf_counter() - began) * 1e3)

    async def stop(self) -> None:
        """Stop the supervisor."""
        await self._sup.stop()


async def _next(events: AsyncIterator[Happening], kind: str) -> Happening:
    async for happening in events:
        if happening.kind == kind:
            return happening
    raise RuntimeError(f"The supervisor ended before a child was {kind!r}.")


class RaysOwn:
    """An actor that Ray restarts, with calls that Ray repeats."""

    def __init__(self) -> None:
        self.kills = Kills()

    async def start(self) -> None:
        """Start it."""
        cls: Any = ray.remote(Worker)  # an actor class has no static type
        self._actor = cls.options(**LEAST, max_restarts=-1, max_task_retries=-1).remote()
        self._pid = await self._actor.ping.remote()

    async def kill(self) -> None:
        """Kill it and ask: until another process answers."""
        began, old = time.perf_counter(), self._pid
        os.kill(old, signal.SIGKILL)
        while self._pid == old:
            self._pid = await self._actor.ping.remote()
        self.kills.answered_ms.append((time.perf_counter() - began) * 1e3)

    async def stop(self) -> None:
        """Kill it for good."""
        ray.kill(self._actor)


async def measure(rounds: int, gap_s: float) -> dict[str, Kills]:
    """One kill of each kind a round, in turn; each has `gap_s` before the next, for a new spare to be ready."""
    kinds: dict[str, Supervised | RaysOwn] = {
        "a warm spare": Supervised(1), "a new process": Supervised(0), "Ray's max_restarts": RaysOwn()
    }  # fmt: skip
    for kind in kinds.values():
        await asyncio.wait_for(kind.start(), WAIT_S)
    for _ in range(rounds):
        for kind in kinds.values():
            await asyncio.sleep(gap_s)
            await asyncio.wait_for(kind.kill(), WAIT_S)
    for kind in kinds.values():
        await asyncio.wait_for(kind.stop(), WAIT_S)
    return {name: kind.kills for name, kind in kinds.items()}
