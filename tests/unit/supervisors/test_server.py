"""The shell: effects are carried out, answers find who asked, the tree is plain data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from supervisors import AlreadyStarted, ChildSpec, Exit, FailedToStartChild, SupervisorSpec
from supervisors import messages as m
from supervisors.backend import Report, TreeNode
from supervisors.clock import ManualClock
from supervisors.server import Server
from supervisors.spec import Shutdown
from tests.unit.supervisors.world import child_of, spec_of


class FakeBackend:
    """Starts at once what is not in `slow` or `broken`; remembers what it was asked."""

    def __init__(self, slow: set[str] | None = None, broken: set[str] | None = None) -> None:
        self.slow, self.broken = slow or set(), broken or set()
        self.log: list[tuple[str, str]] = []
        self.instances: dict[str, int] = {}

    async def open(self, report: Callable[[Report], None]) -> None:
        self.report = report

    def start(self, id: str, instance: int, spec: ChildSpec) -> None:  # noqa: A002
        self.log.append(("start", id))
        self.instances[id] = instance
        failed = m.StartFailed(id, instance, Exit("init_failed", "boom"))
        if id not in self.slow:
            outcome = failed if id in self.broken else m.Started(id, instance, child_of(id, instance))
            asyncio.get_running_loop().call_soon(self.report, outcome)

    def stop(self, id: str, instance: int, shutdown: Shutdown) -> None:  # noqa: A002
        self.log.append(("stop", id))
        asyncio.get_running_loop().call_soon(self.report, m.Exited(id, instance, Exit("shutdown")))

    async def tree(self, id: str, instance: int) -> TreeNode | None:  # noqa: A002
        return {"id": "elsewhere", "pid": 7, "name": "top/sup#1", "children": [{"id": "inner"}], "status": "starting"}

    def whoami(self) -> TreeNode:
        return {"pid": 1, "node": "node", "name": "top"}

    async def close(self) -> None:
        self.log.append(("close", ""))


async def running(backend: FakeBackend, *children: ChildSpec) -> tuple[Server, asyncio.Task[m.Leave]]:
    """A server whose init is over."""
    server = Server(SupervisorSpec(children=children), backend, ManualClock())
    task = asyncio.create_task(server.run())
    await server.ready()
    return server, task


def test_a_server_starts_answers_and_stops_in_reverse() -> None:
    """A life from init to leave."""

    async def life() -> None:
        backend = FakeBackend()
        server, task = await running(backend, spec_of("a"), spec_of("b"))
        answer = await server.call(m.StartChild(spec_of("a")))
        assert answer == AlreadyStarted("a", child_of("a", 1))
        await server.stop(Exit("shutdown"))
        assert (await task).reason == Exit("shutdown")
        assert backend.log == [("start", "a"), ("start", "b"), ("stop", "b"), ("stop", "a"), ("close", "")]

    asyncio.run(life())


def test_a_server_whose_child_fails_at_init_says_which() -> None:
    """Those started before it are stopped by then or are about to be."""

    async def life() -> None:
        server = Server(SupervisorSpec(children=(spec_of("a"), spec_of("b"))), FakeBackend(broken={"b"}), ManualClock())
        task = asyncio.create_task(server.run())
        assert await server.ready() == FailedToStartChild("b", Exit("init_failed", "boom"))
        assert (await task).error == FailedToStartChild("b", Exit("init_failed", "boom"))

    asyncio.run(life())


def test_the_tree_answers_while_a_child_starts_slowly() -> None:
    """It shows that child as starting, and is JSON."""

    async def life() -> None:
        backend = FakeBackend(slow={"b"})
        server, task = await running(backend, spec_of("a", kind="host"))
        calls = [asyncio.create_task(server.call(m.StartChild(spec_of(id_)))) for id_ in "bc"]
        await asyncio.sleep(0)
        tree = json.loads(json.dumps(await server.tree()))
        assert [(n["id"], n["kind"], n["status"]) for n in tree["children"]] == [
            ("a", "host", "ready"),
            ("b", "worker", "starting"),
        ]
        assert (tree["queue"], [n["queue"] for n in tree["children"]]) == (2, [None, None])
        await server.stop(Exit("shutdown"))
        await asyncio.gather(*calls, task)

    asyncio.run(life())


def test_the_tree_says_how_long_each_has_run() -> None:
    """By the clock on the wall: nothing of one that does not run, and none of one whose start is in its future."""

    async def life() -> None:
        clock = ManualClock()
        server = Server(SupervisorSpec(children=(spec_of("a"),)), FakeBackend(slow={"b"}), clock)
        task = asyncio.create_task(server.run())
        await server.ready()
        clock.advance(2.5)
        call = asyncio.create_task(server.call(m.StartChild(spec_of("b"))))
        await asyncio.sleep(0)
        tree = await server.tree()
        a, b = tree["children"]
        assert (tree["uptime_s"], a["uptime_s"], b["uptime_s"]) == (2.5, 0.0, None)
        await server.stop(Exit("shutdown"))
        await asyncio.gather(call, task)

    asyncio.run(life())


def test_the_tree_of_a_nested_supervisor_is_its_own_children_under_our_name_for_it() -> None:
    """The id and status are the parent's knowledge, the children are the nested one's."""

    async def life() -> None:
        server, task = await running(FakeBackend(), ChildSpec("sup", start=SupervisorSpec()))
        (node,) = (await server.tree())["children"]
        assert (node["id"], node["kind"], node["status"], node["children"]) == (
            "sup",
            "supervisor",
            "ready",
            [{"id": "inner"}],
        )
        await server.stop(Exit("shutdown"))
        await task

    asyncio.run(life())


def test_restarts_and_the_last_exit_are_in_the_tree() -> None:
    """Counted per child id."""

    async def life() -> None:
        backend = FakeBackend()
        server, task = await running(backend, spec_of("a"))
        backend.report(m.Exited("a", backend.instances["a"], Exit("crash", "exit code 5")))
        await asyncio.sleep(0)
        (node,) = (await server.tree())["children"]
        assert (node["restarts"], node["last_exit"], node["status"]) == (1, "crash: exit code 5", "ready")
        await server.stop(Exit("shutdown"))
        await task

    asyncio.run(life())


def test_a_caller_that_gives_up_leaves_nothing_behind() -> None:
    """The call goes on; its answer finds nobody."""

    async def life() -> None:
        backend = FakeBackend(slow={"b"})
        server, task = await running(backend)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.call(m.StartChild(spec_of("b"))), 0.01)
        backend.report(m.Started("b", backend.instances["b"], child_of("b", 1)))
        assert (await server.tree())["children"][0]["status"] == "ready"
        await server.stop(Exit("shutdown"))
        await task

    asyncio.run(life())
