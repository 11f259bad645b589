"""Warm spares: a restart takes a few milliseconds, and the next one too."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from supervisors import Process, Supervisor, SupervisorDown
from tests.cluster.supervisors.actors import another, eventually, gone, handle, kill, living, pids, sigkill, worker

ROOM: dict[str, Any] = {"max_restarts": 20, "max_seconds": 60.0}


class Slow(Process):
    """Takes long to construct."""

    def __init__(self) -> None:
        time.sleep(0.5)
        self._begun, self._made = 0, time.monotonic()

    async def init(self) -> int:
        self._begun += 1
        return self._begun

    async def begun(self) -> int:
        return self._begun

    async def made(self) -> float:
        return self._made


async def spares(sup: Supervisor) -> list[int]:
    """The processes of those that are ready."""
    tree = await sup.tree()
    return [node["pid"] for node in tree["children"] if node["kind"] == "spare" and node["status"] == "ready"]


async def ready(sup: Supervisor, many: int) -> list[int]:
    """They, once there are so many."""

    async def enough() -> list[int] | None:
        found = await spares(sup)
        return found if len(found) == many else None

    found: list[int] = await eventually(enough)
    return found


def test_a_restart_takes_over_a_spare_and_another_one_is_made() -> None:
    """The spare was constructed, and `init` runs when it is needed."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a", Slow, spares=1)], **ROOM)
        old = await living(sup, "a")
        (spare,) = await ready(sup, 1)
        assert (await sup.count_children()).workers == 1
        began = time.monotonic()
        sigkill(old.pid)
        new = await another(sup, old)
        assert await handle(new).made.remote() < began
        assert (new.pid, await handle(new).begun.remote()) == (spare, 1)
        (next_spare,) = await ready(sup, 1)
        await sup.stop()
        await gone(new.pid, next_spare)

    asyncio.run(story())


def test_a_terminated_child_has_no_spares() -> None:
    """They go with it; a restart by hand brings them back."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a", spares=1)])
        found = await ready(sup, 1)
        await sup.terminate_child("a")
        await gone(*found)
        await sup.restart_child("a")
        assert await ready(sup, 1) != found
        await sup.stop()

    asyncio.run(story())


def test_the_spares_of_a_killed_supervisor_are_taken_over() -> None:
    """As its children are."""

    async def story() -> None:
        root = await Supervisor.start(name="spared", detached=True, children=[worker("a", spares=1)], **ROOM)
        found = await ready(root, 1)
        await kill((await root.tree())["pid"])
        again = await Supervisor.find("spared")
        assert await eventually(lambda: _spares_or_none(again)) == found
        everything = pids(await again.tree())
        await again.stop()
        await gone(*everything)

    asyncio.run(story())


async def _spares_or_none(sup: Supervisor) -> list[int]:
    try:
        return await spares(sup)
    except SupervisorDown:
        return []
