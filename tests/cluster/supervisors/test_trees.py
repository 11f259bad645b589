"""Supervisors of supervisors: escalation, and what dies with whom."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray

from supervisors import AlreadyStarted, Supervisor, SupervisorDown
from tests.cluster.supervisors.actors import Polite, another, eventually, gone, living, nested, pids, sigkill, worker


def test_a_nested_supervisor_that_gives_up_is_restarted_by_its_parent() -> None:
    """It stops its other children, exits with shutdown, and comes back with all of them."""

    async def story() -> None:
        root = await Supervisor.start(children=[nested("sup", worker("a"), worker("b"), max_restarts=0)])
        old = await living(root, "sup")
        sup = await Supervisor.of(old)
        a, b = await living(sup, "a"), await living(sup, "b")
        sigkill(a.pid)
        new = await another(root, old)
        await gone(old.pid, a.pid, b.pid)
        assert [row.id for row in await (await Supervisor.of(new)).which_children()] == ["b", "a"]
        (node,) = (await root.tree())["children"]
        assert node["last_exit"] == "shutdown: child 'a' ended (killed) once too often"
        await root.stop()

    asyncio.run(story())


def test_children_die_with_their_supervisor_and_come_back_with_the_next() -> None:
    """Ownership is the link: nobody has to clean up."""

    async def story() -> None:
        root = await Supervisor.start(children=[nested("sup", worker("a"))])
        old = await living(root, "sup")
        a = await living(await Supervisor.of(old), "a")
        sigkill(old.pid)
        await gone(old.pid, a.pid)
        sup = await Supervisor.of(await another(root, old))
        assert (await living(sup, "a")).name != a.name
        await root.stop()

    asyncio.run(story())


def test_stopping_the_root_stops_the_whole_tree_in_reverse(tmp_path: Path) -> None:
    """A nested supervisor stops its own children first, however long it takes; no process is left."""

    async def story() -> None:
        log = tmp_path / "log"
        children = [worker(id_, Polite, args=(str(log), id_)) for id_ in "abc"]
        root = await Supervisor.start(children=[children[0], nested("sup", *children[1:])])
        processes = pids(await root.tree())
        assert len(processes) == 5
        await root.stop()
        assert log.read_text() == "c shutdown\nb shutdown\na shutdown\n"
        await gone(*processes)

    asyncio.run(story())


async def _whole_tree(name: str) -> dict[str, Any] | None:
    try:
        tree = await (await Supervisor.find(name)).tree(timeout_s=5)
    except SupervisorDown:
        return None
    return tree if tree["status"] == "ready" and tree["children"][0]["children"] else None


def test_a_detached_root_that_gives_up_is_restarted_by_ray() -> None:
    """Ray is its parent."""

    async def story() -> None:
        root = await Supervisor.start(
            name="tired", detached=True, max_restarts=0, children=[nested("sup", worker("a"))]
        )
        before = await root.tree()
        sigkill(before["children"][0]["pid"])
        await gone(before["pid"])
        assert (await eventually(lambda: _whole_tree("tired")))["pid"] != before["pid"]
        await root.stop()

    asyncio.run(story())


def test_a_name_that_is_taken_is_refused() -> None:
    """And the one that has it goes on."""

    async def story() -> None:
        root = await Supervisor.start(name="one")
        with pytest.raises(AlreadyStarted):
            await Supervisor.start(name="one")
        assert (await (await Supervisor.find("one")).tree())["status"] == "ready"
        await root.stop()

    asyncio.run(story())


def test_a_detached_tree_outlives_the_driver_that_started_it() -> None:
    """Root and children go on when their creator has left."""
    address = ray.get_runtime_context().gcs_address
    code = (
        "import asyncio, ray; from supervisors import *; from tests.cluster.supervisors.actors import worker\n"
        f"ray.init(address={address!r}, log_to_driver=False)\n"
        "asyncio.run(Supervisor.start(name='survivor', detached=True, children=["
        "ChildSpec('sup', start=SupervisorSpec(children=(worker('a'),)))]))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    async def story() -> None:
        root = await Supervisor.find("survivor")
        tree = await root.tree()
        assert [node["restarts"] for node in (tree["children"][0], tree["children"][0]["children"][0])] == [0, 0]
        await root.stop()
        await gone(*pids(tree))

    asyncio.run(story())
