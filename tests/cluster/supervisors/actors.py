"""Children to supervise, and how to wait for what they do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import ray

from supervisors import CallTimeout, Child, ChildSpec, Supervisor, SupervisorDown, SupervisorSpec

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
        return not any(map(runs, pids))

    await eventually(none)


def runs(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def sigkill(pid: int) -> None:
    """End a process that a test started."""
    os.kill(pid, 9)


async def kill(*pids: int) -> set[int]:
    """End processes that a test started, all at once, and see them gone."""
    for pid in pids:
        sigkill(pid)
    await gone(*pids)
    return set(pids)


def pid_of(tree: dict[str, Any], *path: str) -> int:
    """The process at a path of ids below the top."""
    for id_ in path:
        tree = next(node for node in tree["children"] if node["id"] == id_)
    return int(tree["pid"])


async def whole(name: str, size: int, *killed: int) -> dict[str, Any]:
    """The tree of that name, once it has so many processes and none of those that were killed."""

    async def found() -> dict[str, Any] | None:
        try:
            tree = await (await Supervisor.find(name)).tree(timeout_s=5)
        except (SupervisorDown, CallTimeout):
            return None
        there = pids(tree)
        return tree if len(there) == size and not there & set(killed) and _is_ready(tree) else None

    tree: dict[str, Any] = await eventually(found)
    return tree


def _is_ready(node: dict[str, Any]) -> bool:
    return node["status"] == "ready" and all(_is_ready(below) for below in node["children"])


def registered(top: str) -> list[str]:
    """The names of all living actors of a tree, without the top's and without the chance in them."""
    named = [entry["name"].partition("#")[0] for entry in ray.util.list_named_actors(all_namespaces=True)]
    return sorted(name.removeprefix(top) for name in named if name == top or name.startswith(f"{top}/"))


def nested(id_: str, *children: ChildSpec, **options: Any) -> ChildSpec:
    """A nested supervisor."""
    return ChildSpec(id_, start=SupervisorSpec(children=children, **options))
