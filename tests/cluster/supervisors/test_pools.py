"""Pools of spares: one for all children that are started on demand and differ in their arguments alone."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest
import ray

from supervisors import Child, ChildSpec, Exit, Process, StartError, Supervisor
from tests.cluster.supervisors.actors import eventually, gone, handle, kill, pids, sigkill, whole

ROOM: dict[str, Any] = {"max_restarts": 20, "max_seconds": 60.0}


class Plain:
    """Says what it was constructed with, and is asked by a call of its own group too."""

    def __init__(self, left: int = 0, *, right: int = 0, name: str = "") -> None:
        if left < 0:
            raise ValueError(f"left={left}")
        self.given, self.pid = (left, right, name), os.getpid()

    @ray.method(concurrency_group="side", num_returns=2)
    def both(self) -> tuple[tuple[int, int, str], bool]:
        return self.given, isinstance(self, Plain)


class Async(Plain):
    """Has a loop when it is constructed."""

    def __init__(self, left: int = 0, **rest: Any) -> None:
        self.loop = asyncio.get_running_loop()
        super().__init__(left, **rest)

    async def there(self) -> bool:
        return asyncio.get_running_loop() is self.loop


class Slow(Process):
    """Takes long to construct, and knows its argument in `init`."""

    def __init__(self, left: int = 0) -> None:
        time.sleep(0.4)
        self._left, self._made = left, time.monotonic()

    async def made(self) -> float:
        return self._made

    async def init(self) -> int:
        return self._left


def template(start: Any, **options: Any) -> ChildSpec:
    """One whose children share two spares."""
    return ChildSpec("w", start=start, options={"num_cpus": 0}, spares=2, **options)


async def pool(sup: Supervisor, many: int) -> dict[int, str]:
    """The processes of the spares and their names, once so many are ready."""

    async def enough() -> dict[int, str] | None:
        nodes = [node for node in (await sup.tree())["children"] if node["kind"] == "spare"]
        ready = {node["pid"]: node["name"] for node in nodes if node["status"] == "ready"}
        return ready if len(ready) == len(nodes) == many else None

    found: dict[int, str] = await eventually(enough)
    return found


async def begun(sup: Supervisor, *args: Any) -> Child:
    """A child of the template with these further arguments."""
    child = await sup.start_child(args=args)
    assert child is not None
    return child


async def heir(sup: Supervisor, old: Child) -> Child:
    """The child of that key that comes after this one."""

    async def successor() -> Child | None:
        rows = [row.child for row in await sup.which_children()]
        found = [row for row in rows if isinstance(row, Child) and row.key == old.key and row.name != old.name]
        return found[0] if found else None

    found: Child = await eventually(successor)
    return found


REMOTE: Any = ray.remote  # whose types do not know concurrency groups
WITH_GROUPS = REMOTE(concurrency_groups={"side": 1})
SYNC, ASYNC = WITH_GROUPS(Plain), WITH_GROUPS(Async)


@pytest.mark.parametrize("start", [SYNC, ASYNC], ids=["sync", "async"])
def test_a_spare_of_a_pool_is_constructed_with_the_arguments_of_the_child_that_takes_it(start: Any) -> None:
    """Two children of one template share two spares, whichever of them is restarted."""

    async def story() -> None:
        spec = template(start, kwargs={"right": 7}, pass_name=True)
        sup = await Supervisor.start(strategy="simple_one_for_one", children=[spec], **ROOM)
        first, second = [await begun(sup, left) for left in (1, 2)]
        spares = await pool(sup, 2)
        for left, child in ((1, first), (2, second)):
            sigkill(child.pid)
            new = await heir(sup, child)
            given, is_plain = handle(new).both.remote()
            assert (await given, await is_plain) == ((left, 7, new.name), True)
            assert spares[new.pid] == new.name
            assert start is SYNC or await handle(new).there.remote()
        await sup.stop()

    asyncio.run(story())


def test_children_without_arguments_of_their_own_take_spares_that_are_constructed() -> None:
    """One pool of that sort and one of blank ones; what goes with the last child of a sort is its pool."""

    async def story() -> None:
        sup = await Supervisor.start(strategy="simple_one_for_one", children=[template(Slow, args=())], **ROOM)
        plain = await begun(sup)
        spares = await pool(sup, 2)
        own = await begun(sup, 3)
        assert own.info == 3
        assert spares.keys() < (await pool(sup, 4)).keys()
        began = time.monotonic()
        sigkill(plain.pid)
        new = await heir(sup, plain)
        assert new.pid in spares
        assert await handle(new).made.remote() < began
        await sup.terminate_child(own)
        await pool(sup, 2)
        await sup.stop()

    asyncio.run(story())


def test_children_of_several_specifications_share_a_pool_if_they_are_alike() -> None:
    """Their ids and arguments may differ; a start takes a spare over too."""

    async def story() -> None:
        sup = await Supervisor.start(strategy="dynamic", **ROOM)
        start = [
            ChildSpec(id_, start=SYNC, args=(n,), options={"num_cpus": 0}, spares=1) for n, id_ in enumerate("ab", 1)
        ]
        await sup.start_child(start[0])
        (spare,) = await pool(sup, 1)
        second = await sup.start_child(start[1])
        assert second is not None
        assert second.pid == spare
        everything = {*await pool(sup, 1), second.pid}
        await sup.stop()
        await gone(*everything)

    asyncio.run(story())


def test_a_constructor_that_fails_in_a_spare_fails_the_start() -> None:
    """As from a new process: with what it raised, and nothing is left of it."""

    async def story() -> None:
        sup = await Supervisor.start(strategy="simple_one_for_one", children=[template(SYNC)], **ROOM)
        await begun(sup, 1)
        before = await pool(sup, 2)
        with pytest.raises(StartError, match="ValueError: left=-1"):
            await sup.start_child(args=(-1,))
        after = await pool(sup, 2)
        assert len(before.keys() - after.keys()) == 1
        await gone(*(before.keys() - after.keys()))
        await sup.stop()

    asyncio.run(story())


class Leaver(Process):
    """Ends when it is told to."""

    def leave(self) -> None:
        self.exit(Exit("normal"))


def test_the_exit_reason_of_a_child_that_was_a_spare_is_its_own() -> None:
    """So a transient one that ends normally is not started again."""

    async def story() -> None:
        sup = await Supervisor.start(strategy="simple_one_for_one", children=[template(Leaver, restart="transient")])
        await begun(sup)
        await pool(sup, 2)
        events, taken = sup.events(), await begun(sup)
        handle(taken).leave.remote()
        exited = await anext(happening async for happening in events if happening.kind == "exited")
        assert (exited.name, exited.reason) == (taken.name, Exit("normal"))
        assert (await sup.count_children()).workers == 1
        await sup.stop()

    asyncio.run(story())


def test_the_pool_of_a_killed_supervisor_is_taken_over() -> None:
    """Blank ones and constructed ones, and children that were spares once."""

    async def story() -> None:
        sup = await Supervisor.start(
            name="pooled", detached=True, strategy="simple_one_for_one", children=[template(Slow)], **ROOM
        )
        await begun(sup)
        await begun(sup, 3)
        await pool(sup, 4)
        taken = await begun(sup, 4)
        spares, everything = await pool(sup, 4), pids(await sup.tree())
        (old,) = await kill((await sup.tree())["pid"])
        tree = await whole("pooled", 8, old)
        assert pids(tree) - {tree["pid"]} == everything - {old}
        assert await pool(sup, 4) == spares
        sigkill(taken.pid)
        assert (await heir(sup, taken)).info == 4
        await pool(sup, 4)  # one that is starting has no process yet
        everything = pids(await sup.tree())
        await sup.stop()
        await gone(*everything)

    asyncio.run(story())
