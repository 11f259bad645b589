"""One supervisor and its children, as real processes that get killed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
import ray

from supervisors import (
    AlreadyStarted,
    ChildNotFound,
    Counts,
    FailedToStartChild,
    Running,
    StartError,
    Supervisor,
    SupervisorDown,
)
from tests.cluster.supervisors.actors import (
    Broken,
    Hanging,
    Polite,
    Worker,
    another,
    child,
    eventually,
    gone,
    handle,
    living,
    pids,
    runs,
    sigkill,
    worker,
)


def test_a_killed_child_is_noticed_fast_and_restarted_under_another_name() -> None:
    """The bound is generous; a quiet machine shows 10 to 20 ms."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a", pass_name=True)])
        old = await living(sup, "a")
        sigkill(old.pid)
        began = time.monotonic()
        await eventually(lambda: _lost(sup, old.name))
        assert time.monotonic() - began < 10.0
        new = await another(sup, old)
        assert await handle(new).name.remote() == new.name != old.name
        (node,) = (await sup.tree())["children"]
        assert (node["restarts"], node["last_exit"], node["status"]) == (1, "killed", "ready")
        await sup.stop()

    asyncio.run(story())


async def _lost(sup: Supervisor, name: str) -> bool:
    now = await child(sup, "a")
    return now is None or now.name != name


def test_a_temporary_child_that_dies_is_gone_with_its_specification() -> None:
    """Nothing is started in its place."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a", restart="temporary")])
        sigkill((await living(sup, "a")).pid)
        await eventually(lambda: _counts(sup, Counts(0, 0, 0, 0)))
        await sup.stop()

    asyncio.run(story())


async def _counts(sup: Supervisor, expected: Counts) -> bool:
    return await sup.count_children() == expected


def test_a_child_that_leaves_by_itself_exits_normally() -> None:
    """A permanent one is restarted all the same."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a")])
        old = await living(sup, "a")
        handle(old).leave.remote()
        await another(sup, old)
        assert (await sup.tree())["children"][0]["last_exit"] == "normal"
        await sup.stop()

    asyncio.run(story())


def test_an_exception_in_a_call_kills_nobody() -> None:
    """It belongs to the caller."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a")])
        old = await living(sup, "a")
        with pytest.raises(ZeroDivisionError):
            await handle(old).crash.remote()
        assert await living(sup, "a") == old
        await sup.stop()

    asyncio.run(story())


def test_a_start_that_fails_says_what_the_class_raised(tmp_path: Path) -> None:
    """The specification is not kept; the next start works."""

    async def story() -> None:
        flag = tmp_path / "flag"
        flag.touch()
        sup = await Supervisor.start()
        with pytest.raises(StartError, match="ValueError: flag is up"):
            await sup.start_child(worker("a", Broken, args=(str(flag),)))
        assert await sup.which_children() == []
        flag.unlink()
        started = await sup.start_child(worker("a", Broken, args=(str(flag),)))
        assert started == await living(sup, "a")
        await sup.stop()

    asyncio.run(story())


def test_a_start_that_hangs_is_given_up_while_others_are_served() -> None:
    """After start_timeout_s; reads answer meanwhile."""

    async def story() -> None:
        sup = await Supervisor.start()
        slow = asyncio.create_task(sup.start_child(worker("a", Hanging, start_timeout_s=4.0)))
        await eventually(sup.which_children)
        assert (await sup.tree(timeout_s=3.0))["children"][0]["status"] == "starting"
        with pytest.raises(StartError, match="not started within 4 s"):
            await slow
        await sup.stop()

    asyncio.run(story())


def test_a_restart_that_fails_exceeds_the_intensity(tmp_path: Path) -> None:
    """Each attempt counts; the supervisor gives up and is gone."""

    async def story() -> None:
        flag = tmp_path / "flag"
        sup = await Supervisor.start(max_restarts=2, max_seconds=60, children=[worker("a", Broken, args=(str(flag),))])
        old, me = await living(sup, "a"), (await sup.tree())["pid"]
        flag.touch()
        sigkill(old.pid)
        await gone(me)
        with pytest.raises(SupervisorDown):
            await sup.which_children()

    asyncio.run(story())


def test_an_init_that_fails_leaves_no_process(tmp_path: Path) -> None:
    """The child before it is asked to stop; the supervisor goes too."""

    async def story() -> None:
        flag, log = tmp_path / "flag", tmp_path / "log"
        flag.touch()
        first = worker("first", Polite, args=(str(log), "first"))
        with pytest.raises(FailedToStartChild, match="second"):
            await Supervisor.start(name="doomed", children=[first, worker("second", Broken, args=(str(flag),))])
        assert log.read_text() == "first shutdown\n"
        with pytest.raises(SupervisorDown):
            await Supervisor.find("doomed")

    asyncio.run(story())


def test_stop_asks_children_in_reverse_and_leaves_no_process(tmp_path: Path) -> None:
    """Also when a call is parked in one of them."""

    async def story() -> None:
        log = tmp_path / "log"
        sup = await Supervisor.start(children=[worker(id_, Polite, args=(str(log), id_)) for id_ in "abc"])
        handle(await living(sup, "b")).park.remote()
        processes = pids(await sup.tree())
        assert len(processes) == 4
        await sup.stop()
        assert log.read_text() == "c shutdown\nb shutdown\na shutdown\n"
        assert not [pid for pid in processes if runs(pid)]

    asyncio.run(story())


def test_brutal_kill_does_not_ask_and_a_number_waits_that_long(tmp_path: Path) -> None:
    """A child that never finishes its terminate is killed."""

    async def story() -> None:
        log = tmp_path / "log"
        brutal = worker("brutal", Polite, args=(str(log), "brutal"), shutdown="brutal_kill")
        slow = worker("slow", Polite, args=(str(log), "slow", True), shutdown=0.3)
        sup = await Supervisor.start(children=[brutal, slow])
        for id_ in ("brutal", "slow"):
            process = (await living(sup, id_)).pid
            await sup.terminate_child(id_)
            assert not runs(process)
        assert log.read_text() == "slow shutdown\n"
        exits = [node["last_exit"] for node in (await sup.tree())["children"]]
        assert exits == ["killed", "killed: terminate took longer than 0.3 s"]
        await sup.stop()

    asyncio.run(story())


def test_the_calls_answer_as_otps_do_over_the_wire() -> None:
    """Typed exceptions cross the process boundary."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a")])
        old = await living(sup, "a")
        with pytest.raises(AlreadyStarted) as taken:
            await sup.start_child(worker("a"))
        assert taken.value.child == old
        for call in (sup.restart_child, sup.delete_child):
            with pytest.raises(Running):
                await call("a")
        await sup.terminate_child("a")
        await sup.terminate_child("a")
        new = await sup.restart_child("a")
        assert new is not None
        assert new.name != old.name
        with pytest.raises(ChildNotFound):
            await sup.terminate_child("nobody")
        await sup.stop()

    asyncio.run(story())


def test_a_class_made_by_ray_remote_can_be_supervised() -> None:
    """As well as a plain one."""

    async def story() -> None:
        sup = await Supervisor.start()
        await sup.start_child(worker("a", ray.remote(Worker)))
        assert await handle(await living(sup, "a")).name.remote() == ""
        await sup.stop()

    asyncio.run(story())


def test_options_that_ray_refuses_are_a_failed_start() -> None:
    """Ray's own sentence names the accepted ones."""

    async def story() -> None:
        sup = await Supervisor.start()
        bad = worker("a", kwargs={"name": "x"})
        object.__setattr__(bad, "options", {"num_cpu": 1})
        with pytest.raises(StartError, match="num_cpu"):
            await sup.start_child(bad)
        await sup.stop()

    asyncio.run(story())
