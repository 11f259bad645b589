"""What is special about children of one process: cancelling is all that can be done to them, and nothing is free."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from supervisors import (
    IGNORE,
    BadSpec,
    CallTimeout,
    ChildSpec,
    Exit,
    Process,
    Supervisor,
    SupervisorDown,
    SupervisorSpec,
    local_child,
    local_lives,
    process,
)
from supervisors.local_ref import local_ref
from tests.unit.supervisors.local.children import Counter, Stubborn, child_of, started, until


def test_a_child_is_gone_when_its_cleaning_up_is_over() -> None:
    """No other one is started beside it."""

    async def story() -> None:
        sup = await started(ChildSpec("a", start=Stubborn))
        old = await child_of(sup, "a")
        stubborn = local_ref(old).object
        await asyncio.sleep(0)
        local_ref(old).exit(Exit("killed"))
        await stubborn.cleaning.wait()
        assert (await child_of(sup, "a")).name == old.name
        stubborn.gate.set()
        await until(lambda: not local_ref(old).is_alive)
        assert (await child_of(sup, "a")).name != old.name
        await sup.stop()

    asyncio.run(story())


def test_one_that_resists_being_cancelled_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second, in `run`; nothing can be done about it."""
    monkeypatch.setattr(process, "LINGER_S", 0.01)

    async def story() -> None:
        sup = await started(ChildSpec("a", start=Stubborn, restart="temporary"))
        stubborn = local_ref(await child_of(sup, "a")).object
        await asyncio.sleep(0)
        await sup.stop()
        assert stubborn.cleaning.is_set()
        stubborn.gate.set()

    asyncio.run(story())


class Sleepless(Process):
    """Its `init` and its `terminate` cannot be cancelled before the gate opens."""

    gate: asyncio.Event
    slow_init = False

    async def init(self) -> None:
        """Waits, if it is to be slow."""
        while type(self).slow_init and not self.gate.is_set():
            await self._resist()

    async def terminate(self, reason: str) -> None:
        """Waits."""
        while not self.gate.is_set():
            await self._resist()

    async def _resist(self) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            return


@pytest.mark.parametrize("slow_init", [True, False])
def test_a_start_or_a_terminate_that_resists_is_given_up_too(monkeypatch: pytest.MonkeyPatch, slow_init: bool) -> None:
    """The supervisor stops all the same, and what comes back later finds nobody."""
    monkeypatch.setattr(local_lives, "LINGER_S", 0.01)
    monkeypatch.setattr(Sleepless, "slow_init", slow_init)

    async def story() -> None:
        Sleepless.gate = asyncio.Event()
        sup = await started()
        call = asyncio.create_task(sup.start_child(ChildSpec("a", start=Sleepless, shutdown=0.01)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await sup.stop()
        Sleepless.gate.set()
        await asyncio.gather(call, return_exceptions=True)

    asyncio.run(story())


def test_a_process_that_ends_itself_in_init_has_not_started() -> None:
    """With its reason."""

    class Quitter(Process):
        async def init(self) -> None:
            self.exit(Exit("shutdown", "not today"))

    async def story() -> None:
        sup = await started()
        with pytest.raises(Exception, match="shutdown: not today"):
            await sup.start_child(ChildSpec("a", start=Quitter))
        await sup.stop()

    asyncio.run(story())


def test_a_process_whose_run_ends_exits_with_normal_and_with_crash_if_it_raises() -> None:
    """Transient ones show the difference."""

    class Brief(Process):
        def __init__(self, error: Exception | None) -> None:
            self.error = error

        async def run(self) -> None:
            if self.error:
                raise self.error

    async def story() -> None:
        sup = await started(
            *(ChildSpec(str(error), start=Brief, args=(error,), restart="temporary") for error in (None, KeyError("k")))
        )
        exits = [happening.reason async for happening in _until_two(sup)]
        assert exits == [Exit("normal"), Exit("crash", "KeyError: 'k'")]
        await sup.stop()

    asyncio.run(story())


async def _until_two(sup: Supervisor) -> Any:
    seen = 0
    async for happening in sup.events():
        yield happening
        seen += 1
        if seen == 2:
            return


def test_plain_children_and_supervisors_cost_no_task() -> None:
    """Nor does a process that neither starts nor runs in its own way."""

    async def story() -> None:
        before = len(asyncio.all_tasks())
        children = tuple(ChildSpec(str(n), start=cls) for n, cls in enumerate((Counter, Process, Counter)))
        sup = await started(ChildSpec("sup", start=SupervisorSpec(children=children)))
        assert len(asyncio.all_tasks()) == before
        await sup.stop()

    asyncio.run(story())


def test_starting_many_lets_others_run() -> None:
    """At init, and in a loop of calls."""

    async def story() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        sup = await started(*(ChildSpec(str(n), start=Counter) for n in range(320)))
        assert turns >= 9
        turns = 0
        for n in range(320):
            await sup.start_child(ChildSpec(f"later {n}", start=Counter))
        assert turns >= 9
        counting.cancel()
        await sup.stop()

    asyncio.run(story())


def test_nothing_is_left_of_what_has_ended() -> None:
    """Neither in the names of the loop nor in memory."""

    async def story() -> None:
        sup = await started(ChildSpec("a", start=Counter), ChildSpec("sup", start=SupervisorSpec()), name="top")
        await sup.stop()
        node = local_child.LocalNode.here()
        assert (node.children, node.roots) == ({}, {})

    asyncio.run(story())
    gc.collect()
    assert not [found for found in gc.get_objects() if isinstance(found, local_child.LocalChild)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ChildSpec("a", start=Counter, options={"num_cpus": 1}),
        lambda: ChildSpec("a", start=Counter, spares=1),
        lambda: ChildSpec("a", start=Counter, anti_affinity=True),
        lambda: ChildSpec("a", start=SupervisorSpec(children=(ChildSpec("b", start=Counter, node_labels={"a": "b"}),))),
    ],
)
def test_what_only_ray_has_is_refused_by_name(make: Callable[[], ChildSpec]) -> None:
    """At the start, in start_child and in update_specs; nothing is started."""

    async def story() -> None:
        with pytest.raises(BadSpec, match="goes with backend='ray' only"):
            await started(make())
        sup = await started()
        with pytest.raises(BadSpec, match="goes with backend='ray' only"):
            await sup.start_child(make())
        with pytest.raises(BadSpec, match="goes with backend='ray' only"):
            await sup.update_specs(SupervisorSpec(children=(make(),)))
        await sup.stop()

    asyncio.run(story())


def test_an_actor_class_is_refused() -> None:
    """The plain one is asked for."""

    class Remote:
        __module__ = "somewhere"

        def remote(self) -> None:
            """As Ray's have."""

    with pytest.raises(BadSpec, match="give the plain class"):
        asyncio.run(started(ChildSpec("a", start=Remote())))


@pytest.mark.parametrize("option", [{"detached": True, "name": "a"}, {"options": {"num_cpus": 1}}])
def test_what_only_a_ray_supervisor_has_is_refused(option: dict[str, Any]) -> None:
    """By name."""
    with pytest.raises(BadSpec, match="backend='ray' only"):
        asyncio.run(started(**option))


def test_a_start_that_is_out_of_time_leaves_nothing() -> None:
    """Those that had started are ended, unasked."""

    class Slow(Process):
        async def init(self) -> None:
            await asyncio.Event().wait()

    async def story() -> None:
        with pytest.raises(CallTimeout):
            await started(ChildSpec("a", start=Counter), ChildSpec("b", start=Slow), name="slow", timeout_s=0.01)
        assert not local_child.LocalNode.here().children
        with pytest.raises(SupervisorDown):
            await Supervisor.find("slow", backend="local")

    asyncio.run(story())


def test_a_nested_supervisor_out_of_time_to_stop_is_ended() -> None:
    """With all below it; asking them had begun."""

    class Slow(Counter):
        async def terminate(self, reason: str) -> None:
            await asyncio.Event().wait()

    async def story() -> None:
        inner = SupervisorSpec(children=(ChildSpec("a", start=Slow, shutdown="infinity"),))
        top = await started(ChildSpec("sup", start=inner, shutdown=0.01))
        await top.terminate_child("sup")
        assert (await top.tree())["children"][0]["last_exit"] == "killed: terminate took longer than 0.01 s"
        assert not [name for name in local_child.LocalNode.here().children if "/a#" in name]
        await top.stop()

    asyncio.run(story())


def test_a_supervisor_that_says_ignore_is_no_process() -> None:
    """A process that says so is not kept in the names."""

    class Absent(Process):
        async def init(self) -> Any:
            return IGNORE

    async def story() -> None:
        sup = await started(ChildSpec("a", start=Absent))
        assert local_child.LocalNode.here().children == {}
        await sup.stop()

    asyncio.run(story())


def test_a_supervisor_that_is_ended_asks_nobody_below_it() -> None:
    """Its children are killed."""
    asked: list[str] = []

    class Polite(Counter):
        def terminate(self, reason: str) -> None:
            asked.append(reason)

    async def story() -> None:
        inner = SupervisorSpec(children=(ChildSpec("a", start=Polite),))
        top = await started(ChildSpec("sup", start=inner, restart="temporary"))
        local_ref(await child_of(top, "sup")).exit(Exit("killed"))
        assert (local_child.LocalNode.here().children, asked) == ({}, [])
        await top.stop()

    asyncio.run(story())


def test_a_terminate_out_of_time_is_cancelled() -> None:
    """It can still clean up."""
    ends: list[str] = []

    class Slow(Counter):
        async def terminate(self, reason: str) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ends.append("cleaned up")

    async def story() -> None:
        sup = await started(ChildSpec("a", start=Slow, shutdown=0.01))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await sup.stop()
        assert ends == ["cleaned up"]
        assert loop.time() - began < process.LINGER_S

    asyncio.run(story())


def test_a_child_is_gone_when_the_calls_that_it_served_are_over() -> None:
    """Their cleaning up included."""
    gate = asyncio.Event()

    class Careful(Counter):
        async def wait(self) -> str:
            try:
                return await super().wait()
            finally:
                await gate.wait()

    async def story() -> None:
        sup = await started(ChildSpec("a", start=Careful))
        old = await child_of(sup, "a")
        call = asyncio.create_task(local_ref(old).call("wait"))
        await until(lambda: local_ref(old).object.gate._waiters)
        local_ref(old).exit(Exit("killed"))
        await asyncio.sleep(0)
        assert await child_of(sup, "a") == old
        gate.set()
        await asyncio.gather(call, return_exceptions=True)
        await until(lambda: old.name not in local_child.LocalNode.here().children)
        assert (await child_of(sup, "a")).name != old.name
        await sup.stop()

    asyncio.run(story())


def test_a_method_that_ends_its_process_finishes_before_the_next_one_starts() -> None:
    """The caller has its answer."""
    lines: list[str] = []

    class Leaver(Process):
        def __init__(self) -> None:
            lines.append("start")

        def leave(self) -> str:
            self.exit(Exit("shutdown"))
            lines.append("left")
            return "bye"

    async def story() -> None:
        sup = await started(ChildSpec("a", start=Leaver))
        assert await local_ref(await child_of(sup, "a")).call("leave") == "bye"
        await until(lambda: len(lines) == 3)
        assert lines == ["start", "left", "start"]
        await sup.stop()

    asyncio.run(story())


def test_no_timer_outlives_what_it_was_for() -> None:
    """Start and stop of processes and supervisors, within their time."""

    class Timed(Process):
        async def init(self) -> None:
            """Has a start that may take time."""

        async def terminate(self, reason: str) -> None:
            """And an end."""

    async def story() -> None:
        inner = SupervisorSpec(children=(ChildSpec("a", start=Timed),))
        sup = await started(ChildSpec("sup", start=inner, start_timeout_s=60, shutdown=60.0))
        scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert [timer for timer in scheduled if not timer.cancelled()] == []
        await sup.stop()
        assert [timer for timer in scheduled if not timer.cancelled()] == []

    asyncio.run(story())


def test_a_loop_that_ends_with_a_supervisor_on_it_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is restarted that nobody could end; a task that someone cancels alone is a death like others."""
    starts: list[str] = []

    class Runner(Process):
        async def run(self) -> None:
            starts.append("run")
            await asyncio.Event().wait()

    async def story() -> None:
        sup = await started(ChildSpec("a", start=Runner), ChildSpec("b", start=Runner))
        await until(lambda: len(starts) == 2)
        local_ref(await child_of(sup, "a")).object._life._task.cancel()
        await until(lambda: len(starts) == 3)

    asyncio.run(story())
    gc.collect()
    assert (len(starts), caplog.records) == (3, [])
