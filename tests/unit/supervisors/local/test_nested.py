"""Trees of children that are started on demand: who brings them back, and who does not."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from supervisors import Child, ChildSpec, Exit, Process, Supervisor, SupervisorSpec
from supervisors.local_ref import local_ref
from supervisors.spec import Strategy
from tests.unit.supervisors.local.children import OFTEN, Counter, child_of, started, until

COUNTER = ChildSpec("counter", start=Counter)


class Starter(Process):
    """Starts a child in its sibling `pool`."""

    def __init__(self, above: list[Supervisor]) -> None:
        self._above = above

    async def run(self) -> None:
        """Once, and then it is done."""
        pool = await Supervisor.of(await child_of(self._above[0], "pool"))
        await pool.start_child(ChildSpec("a", start=Counter))
        self.exit(Exit("normal"))


async def pool_with_starter(strategy: Strategy) -> tuple[Supervisor, Child]:
    """A dynamic supervisor, and a child after it that fills it."""
    above: list[Supervisor] = []
    pool = ChildSpec("pool", start=SupervisorSpec(strategy="dynamic", max_restarts=1))
    starter = ChildSpec("starter", start=Starter, args=(above,), restart="transient")
    above.append(await started(pool, strategy=strategy))
    await above[0].start_child(starter)
    await is_filled(above[0])
    return above[0], await child_of(above[0], "pool")


async def is_filled(sup: Supervisor) -> Child:
    """The child in the pool, once it is there."""
    for _ in range(1000):
        row = await sup.which_child("pool")
        if isinstance(row.child, Child) and (rows := await (await Supervisor.of(row.child)).which_children()):
            assert isinstance(rows[0].child, Child)
            return rows[0].child
        await asyncio.sleep(0)
    raise AssertionError("the pool stays empty")


@pytest.mark.parametrize("kill", ["the supervisor", "the child, twice"])
@pytest.mark.parametrize(("strategy", "left"), [("one_for_one", 0), ("rest_for_one", 1)])
def test_children_on_demand_come_back_with_whoever_starts_them(strategy: Strategy, left: int, kill: str) -> None:
    """A dynamic supervisor begins empty; under rest_for_one the one after it fills it again."""

    async def story() -> None:
        sup, pool = await pool_with_starter(strategy)
        if kill == "the supervisor":
            local_ref(pool).exit(Exit("killed"))
        else:
            for _ in range(2):
                local_ref(await is_filled(sup)).exit(Exit("crash"))
        await until(lambda: not local_ref(pool).is_alive)
        if left:
            await is_filled(sup)
        new = await child_of(sup, "pool")
        assert new.name != pool.name
        assert (await (await Supervisor.of(new)).count_children()).active == left
        await sup.stop()

    asyncio.run(story())


def test_a_supervisor_that_gives_up_takes_its_group_along_and_all_come_back_as_declared() -> None:
    """One for all, above: added children are gone, and a terminated sibling is there again."""

    async def story() -> None:
        nested = [ChildSpec(id_, start=SupervisorSpec(max_restarts=0, children=(COUNTER,))) for id_ in "abc"]
        top = await started(*nested, strategy="one_for_all")
        old = [await child_of(top, id_) for id_ in "abc"]
        added = await (await Supervisor.of(old[1])).start_child(ChildSpec("added", start=Counter))
        await top.terminate_child("c")
        assert added is not None
        local_ref(added).exit(Exit("crash"))
        await until(lambda: not any(local_ref(child).is_alive for child in old))
        for id_ in "abc":
            rows = await (await Supervisor.of(await child_of(top, id_))).which_children()
            assert [row.id for row in rows] == ["counter"]
        await top.stop()

    asyncio.run(story())


class Payload:
    """Something large."""


class Light(Counter):
    """Keeps nothing of what it is given."""

    def __init__(self, payload: Any) -> None:
        super().__init__()


def test_nothing_holds_the_arguments_of_a_temporary_child_that_has_started() -> None:
    """Neither its supervisor nor what it runs on."""

    def loaded() -> tuple[ChildSpec, weakref.ref[Payload]]:
        payload = Payload()
        return ChildSpec("a", start=Light, args=(payload,), restart="temporary"), weakref.ref(payload)

    async def story() -> None:
        sup = await Supervisor.start(strategy="dynamic", backend="local")
        spec, payload = loaded()
        child = await sup.start_child(spec)
        del spec
        gc.collect()
        assert payload() is None
        assert child is not None
        await sup.stop()

    asyncio.run(story())


class Once(Process):
    """Writes down that it ran, and is done."""

    def __init__(self, number: int, ran: list[int]) -> None:
        self._number, self._ran = number, ran

    async def run(self) -> None:
        """Returns at once."""
        self._ran.append(self._number)


@pytest.mark.parametrize("restart", ["temporary", "transient"])
def test_a_thousand_children_that_do_their_work_and_end_well_run_once_each(restart: Any) -> None:
    """And nothing is left of them."""

    async def story() -> None:
        ran: list[int] = []
        sup = await Supervisor.start(strategy="dynamic", backend="local", max_restarts=OFTEN)
        for number in range(1000):
            await sup.start_child(ChildSpec("once", start=Once, args=(number, ran), restart=restart))
        await until(lambda: len(ran) == 1000)
        await asyncio.sleep(0)
        assert (sorted(ran), await sup.which_children()) == (list(range(1000)), [])
        await sup.stop()

    asyncio.run(story())
