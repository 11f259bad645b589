"""Children to supervise, and how to wait for what they do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import ray

from supervisors import Child, ChildSpec, Supervisor

WAIT_S = 30.0


class Worker:
    """A plain class."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    def name(self) -> str:
        return self._name

    def crash(self) -> None:
        raise ZeroDivisionError

    def leave(self) -> None:
        ray.actor.exit_actor()  # type: ignore[no-untyped-call]


class Broken:
    """Fails in `__init__` while the file `flag` exists."""

    def __init__(self, flag: str) -> None:
        if Path(flag).exists():
            raise ValueError("flag is up")


class Hanging:
    """Never finishes `__init__`."""

    def __init__(self) -> None:
        import threading

        threading.Event().wait()


class Polite:
    """Writes a line when it is asked to stop, and may take its time; a call may be parked in it meanwhile."""

    def __init__(self, log: str, name: str, for_ever: bool = False) -> None:
        self._log, self._name, self._for_ever = Path(log), name, for_ever

    async def park(self) -> None:
        await asyncio.Event().wait()

    async def terminate(self, reason: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{self._name} {reason}\n")
        if self._for_ever:
            await asyncio.Event().wait()


def worker(id_: str, start: Any = Worker, **options: Any) -> ChildSpec:
    """A child that needs no CPU of its own."""
    return ChildSpec(id_, start=start, options={"num_cpus": 0}, **options)


def handle(child: Child) -> Any:
    """Ray's handle of a child."""
    return ray.get_actor(child.name, namespace=child.namespace)


async def eventually(condition: Callable[[], Awaitable[Any]]) -> Any:
    """What the condition answers, once that is something."""
    async with asyncio.timeout(WAIT_S):
        while True:
            if answer := await condition():
                return answer
            await asyncio.sleep(0.005)


async def child(supervisor: Supervisor, id_: str) -> Child | None:
    """The living child of an id."""
    rows = {row.id: row.child for row in await supervisor.which_children()}
    found = rows.get(id_)
    return found if isinstance(found, Child) else None


async def living(supervisor: Supervisor, id_: str) -> Child:
    """The living child of an id, which is there."""
    found = await child(supervisor, id_)
    assert found is not None
    return found


async def another(supervisor: Supervisor, old: Child) -> Child:
    """The child that comes after this one."""

    async def successor() -> Child | None:
        now = await child(supervisor, old.id)
        return now if now is not None and now.name != old.name else None

    found: Child = await eventually(successor)
    return found


def pids(node: dict[str, Any]) -> set[int]:
    """All processes of a tree."""
    return {node["pid"]}.union(*(pids(below) for below in node["children"]))


async def gone(*pids: int) -> None:
    """Wait until none of these processes exists."""

    async def none() -> bool:
        return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids)

    await eventually(none)


def sigkill(pid: int) -> None:
    """End a process that a test started."""
    os.kill(pid, 9)
