"""Children that inherit `Process`: how they start, what they say when they end, and how they are asked to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import ray

from supervisors import IGNORE, Exit, Process, StartError, Supervisor, SupervisorDown
from tests.cluster.supervisors.actors import another, eventually, handle, living, runs, sigkill, worker


def write(log: str, text: str) -> None:
    """Leave a trace that outlives the process."""
    Path(log).write_text(text)


class Talker(Process):
    """Starts as it is told, and ends as it is told."""

    def __init__(self, start: Any = None, log: str = "", raises: bool = False) -> None:
        self._start, self._log, self._raises = start, log, raises
        self._asked = asyncio.Event()
        self._ends_with: Exception | None = None

    async def init(self) -> Any:
        if isinstance(self._start, Exception):
            raise self._start
        return IGNORE if self._start == "ignore" else self._start

    async def run(self) -> None:
        await self._asked.wait()
        if self._ends_with is not None:
            raise self._ends_with

    async def terminate(self, reason: str) -> None:
        if self._raises:
            raise ValueError("not now")
        if self._log:
            write(self._log, reason)

    async def end(self, error: Exception | None = None) -> None:
        self._ends_with = error
        self._asked.set()

    async def say(self, reason: Exit) -> None:
        self.exit(reason)

    async def park(self) -> None:
        await asyncio.Event().wait()


def test_what_init_returns_is_the_childs_info() -> None:
    """Whoever started it learns it, and whoever looks."""

    async def story() -> None:
        sup = await Supervisor.start()
        child = await sup.start_child(worker("a", Talker, args=({"port": 7},)))
        assert child is not None
        assert child.info == {"port": 7}
        assert (await living(sup, "a")).info == {"port": 7}
        await sup.stop()

    asyncio.run(story())


def test_a_start_that_says_ignore_keeps_the_specification_and_no_process() -> None:
    """It may be started later."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a", Talker, args=("ignore",))])
        assert [(row.id, row.child) for row in await sup.which_children()] == [("a", None)]
        assert await sup.restart_child("a") is None
        await sup.stop()

    asyncio.run(story())


def test_an_init_that_raises_is_a_failed_start() -> None:
    """With what it raised; no process is left."""

    async def story() -> None:
        sup = await Supervisor.start()
        with pytest.raises(StartError) as failed:
            await sup.start_child(worker("a", Talker, args=(ValueError("no port"),)))
        assert failed.value.reason == Exit("init_failed", "ValueError: no port")
        await sup.stop()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (("end", None), "normal"),
        (("end", ValueError("lost")), "crash: ValueError: lost"),
        (("say", Exit("shutdown", "enough")), "shutdown: enough"),
    ],
)
def test_a_process_says_why_it_ends(last: tuple[str, Any], expected: str) -> None:
    """By returning, by raising, or by `exit`; its supervisor knows the reason as a value."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a", Talker)])
        old = await living(sup, "a")
        getattr(handle(old), last[0]).remote(last[1])
        await another(sup, old)
        assert (await sup.tree())["children"][0]["last_exit"] == expected
        assert not runs(old.pid)
        await sup.stop()

    asyncio.run(story())


def test_a_transient_process_that_ends_normally_stays_away() -> None:
    """It said `normal`, which Ray alone could not have told from a crash of its run."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a", Talker, restart="transient")])
        handle(await living(sup, "a")).end.remote()
        await eventually(lambda: _has_no_child(sup))
        assert (await sup.tree())["children"][0]["last_exit"] == "normal"
        await sup.stop()

    asyncio.run(story())


async def _has_no_child(sup: Supervisor) -> bool:
    return (await sup.which_child("a")).child is None


def test_terminate_is_finished_before_the_process_is_gone(tmp_path: Path) -> None:
    """Also where a call is parked in it, and where few calls are let in."""

    async def story() -> None:
        log = tmp_path / "log"
        remote: Any = ray.remote
        spec = worker("a", remote(max_concurrency=1)(Talker), kwargs={"log": str(log)})
        sup = await Supervisor.start(children=[spec])
        old = await living(sup, "a")
        handle(old).park.remote()
        await sup.terminate_child("a")
        assert log.read_text() == "shutdown"
        assert not runs(old.pid)
        assert (await sup.tree())["children"][0]["last_exit"] == "shutdown"
        await sup.stop()

    asyncio.run(story())


def test_a_terminate_that_raises_is_a_crash_and_the_process_is_gone_all_the_same() -> None:
    """The call that asked for it is fine."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a", Talker, kwargs={"raises": True})])
        old = await living(sup, "a")
        await sup.terminate_child("a")
        assert not runs(old.pid)
        assert (await sup.tree())["children"][0]["last_exit"] == "crash: terminate raised ValueError"
        await sup.stop()

    asyncio.run(story())


def test_how_a_process_ended_while_its_supervisor_was_dead_is_not_lost() -> None:
    """It waits to be heard: a transient one that ended normally is not started again."""

    async def story() -> None:
        root = await Supervisor.start(
            name="deaf", detached=True, children=[worker("a", Talker, restart="transient"), worker("b", Talker)]
        )
        first, second = await living(root, "a"), await living(root, "b")
        sigkill((await root.tree())["pid"])
        await handle(first).end.remote()
        await eventually(lambda: _ended_normally(root))
        assert (await living(root, "b")) == second
        await root.stop()

    asyncio.run(story())


async def _ended_normally(root: Supervisor) -> bool:
    try:
        node = (await root.tree())["children"][0]
    except SupervisorDown:
        return False
    return (node["status"], node["last_exit"]) == ("dead", "normal")
