"""Supervisors that are killed come back and take over what lives: no twin, nobody restarted who was not killed."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import ray

from supervisors import ChildSpec, Supervisor, SupervisorDown, SupervisorSpec
from supervisors.ray_memory import RayShelf
from supervisors.ray_supervisor import SupervisorActor
from tests.cluster.supervisors.actors import (
    Broken,
    another,
    eventually,
    gone,
    kill,
    living,
    nested,
    pid_of,
    pids,
    registered,
    sigkill,
    whole,
    worker,
)

numbers = count(1)
ROOM: dict[str, Any] = {"max_restarts": 20, "max_seconds": 60.0}


async def start(*children: ChildSpec) -> Supervisor:
    """A detached tree, with a name of its own."""
    return await Supervisor.start(name=f"root{next(numbers)}", detached=True, children=children, **ROOM)


async def stopped(sup: Supervisor) -> None:
    """Stop the tree: neither an actor nor a memory of it is left."""
    await sup.stop()
    assert registered(sup.name) == []
    assert await RayShelf().keys(f"supervisors|{sup.name}") == []


def test_the_children_of_a_killed_nested_supervisor_are_taken_over() -> None:
    """Its next incarnation has the same children, in the same processes."""

    async def story() -> None:
        root = await start(nested("sup", worker("a"), worker("b"), **ROOM))
        before = await whole(root.name, 4)
        after = await whole(root.name, 4, *await kill(pid_of(before, "sup")))
        assert pids(before) - pids(after) == {pid_of(before, "sup")}
        assert [node["restarts"] for node in after["children"][0]["children"]] == [0, 0]
        await stopped(root)

    asyncio.run(story())


def test_a_killed_root_is_back_and_has_its_whole_tree() -> None:
    """Ray runs it again; nothing below it was restarted."""

    async def story() -> None:
        root = await start(worker("a"), nested("sup", worker("b")))
        before = await whole(root.name, 4)
        after = await whole(root.name, 4, *await kill(before["pid"]))
        assert pids(before) - pids(after) == {before["pid"]}
        again = await whole(root.name, 4, *await kill(pid_of(after, "a")))
        assert pids(after) - pids(again) == {pid_of(after, "a")}
        await stopped(root)

    asyncio.run(story())


def test_what_died_while_its_supervisors_were_dead_is_restarted() -> None:
    """Root, the nested supervisor and one of the children at once."""

    async def story() -> None:
        root = await start(nested("sup", worker("a"), worker("b"), **ROOM))
        before = await whole(root.name, 4)
        killed = await kill(before["pid"], pid_of(before, "sup"), pid_of(before, "sup", "a"))
        after = await whole(root.name, 4, *killed)
        assert pids(before) - pids(after) == killed
        assert [node["restarts"] for node in after["children"][0]["children"]] == [1, 0]
        await stopped(root)

    asyncio.run(story())


def test_added_children_and_terminated_ones_are_remembered() -> None:
    """Also those of a supervisor that starts children on demand, with equal ids."""

    async def story() -> None:
        root = await start(worker("a"), ChildSpec("pool", start=SupervisorSpec(strategy="dynamic")))
        pool = await Supervisor.of(await living(root, "pool"))
        await root.start_child(worker("added"))
        await root.terminate_child("a")
        one, two = await pool.start_child(worker("job")), await pool.start_child(worker("job"))
        assert one
        assert two
        await pool.terminate_child(one)
        before = await root.tree()
        await kill(before["pid"], pid_of(before, "pool"))
        after = await eventually(lambda: answer(root, {"a": "dead", "pool": "ready", "added": "ready"}))
        assert pid_of(after, "added") == pid_of(before, "added")
        assert [node["pid"] for node in after["children"][1]["children"]] == [two.pid]
        await stopped(root)

    asyncio.run(story())


async def answer(root: Supervisor, expected: dict[str, str]) -> dict[str, Any] | None:
    """The tree, if its children have these statuses and the pool has its job."""
    try:
        tree = await root.tree(timeout_s=5)
    except SupervisorDown:
        return None
    statuses = {node["id"]: node["status"] for node in tree["children"]}
    return tree if statuses == expected and tree["children"][1]["children"] else None


def test_restarts_count_across_the_lives_of_a_supervisor() -> None:
    """One restart before and one after its own death are two."""

    async def story() -> None:
        root = await start(nested("sup", worker("a"), max_restarts=1, max_seconds=600))
        old = await living(root, "sup")
        a = await living(await Supervisor.of(old), "a")
        sigkill(a.pid)
        await another(await Supervisor.of(old), a)
        sigkill(old.pid)
        tired = await another(root, old)
        tree = await whole(root.name, 3, old.pid)
        sigkill(pid_of(tree, "sup", "a"))
        await another(root, tired)
        (node,) = (await whole(root.name, 3, tired.pid))["children"]
        assert (node["restarts"], node["last_exit"]) == (2, "shutdown: child 'a' ended (killed) once too often")
        await stopped(root)

    asyncio.run(story())


def test_a_root_that_is_killed_while_a_child_starts_makes_no_twin(tmp_path: Path) -> None:
    """It was made, and its start never answered: there is one of it in the end."""

    async def story() -> None:
        root = await start(worker("a"))
        tree = await whole(root.name, 2)
        started = asyncio.create_task(root.start_child(worker("b", Broken, args=(str(tmp_path / "no"),))))
        await eventually(lambda: _exists(root, "b"))
        killed = await kill(tree["pid"])
        await asyncio.gather(started, return_exceptions=True)
        after = await whole(root.name, 3, *killed)
        assert pid_of(after, "a") == pid_of(tree, "a")
        assert registered(root.name) == ["", "/a", "/b"]
        await stopped(root)

    asyncio.run(story())


async def _exists(root: Supervisor, id_: str) -> bool:
    return f"/{id_}" in registered(root.name)


def test_a_life_that_is_not_the_latest_leaves_and_touches_nothing() -> None:
    """As after a partition: a second process runs the same supervisor with a higher term."""

    async def story() -> None:
        root = await start(nested("sup", worker("a"), **ROOM))
        before = await whole(root.name, 3)
        spec = SupervisorSpec(children=(worker("a"),), **ROOM)
        later: Any = ray.remote(SupervisorActor).options(num_cpus=0, name="later", namespace="supervisors")
        twin = later.remote(spec, f"{root.name}/sup", "later", "supervisors", True)
        assert await twin.ready.remote() is None
        await kill(pid_of(before, "sup", "a"))
        await gone(pid_of(before, "sup"))
        await whole(root.name, 3, *pids(before) - {before["pid"]})
        assert registered(root.name) == ["", "/sup", "/sup/a"]
        await stopped(root)

    asyncio.run(story())


def test_a_root_that_does_not_answer_is_stopped_with_everything_below_it() -> None:
    """Its children outlive it, so whoever stops it ends them."""

    async def story() -> None:
        root = await start(worker("a"), nested("sup", worker("b")))
        before = await whole(root.name, 4)
        sigkill(before["pid"])
        await stopped(root)
        await gone(*pids(before))

    asyncio.run(story())
