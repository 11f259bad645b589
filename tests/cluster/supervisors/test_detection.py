"""Hung children and lost nodes, with real processes: what is noticed, how soon, and what is left alone."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from supervisors.heartbeats import Heartbeat, NodeBeat
from supervisors.node_watch import NodeWatch
from supervisors.ray_heartbeats import RayHearts
from supervisors.ray_nodes import RayNodeAgent, node_watch
from tests.cluster.supervisors.actors import WAIT_S, eventually
from tests.cluster.supervisors.nodes import LocalNodes, connected_nodes

BOUND_S = 1.5
SLACK_S = 6.0
"""The machine is busy with other tests; the figure itself is printed."""


class Victim:
    """A plain actor, which knows nothing of heartbeats."""

    def ready(self) -> tuple[int, str]:
        return os.getpid(), ray.get_runtime_context().get_node_id()

    def spin(self) -> None:
        while True:
            pass

    def regex(self) -> None:
        re.match(r"(a+)+$", "a" * 60 + "b")

    def sleep_with_the_interpreter(self) -> None:
        ctypes.PyDLL(None).sleep(60)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[LocalNodes]:
    """Two nodes; tests that lose one add it."""
    with connected_nodes(2) as nodes:
        yield nodes


@dataclass
class Heard:
    """What a watched child's watcher was told, and when."""

    why: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def hung(self, why: str) -> None:
        self.why = why


@dataclass
class Lost:
    """What a node's watcher was told, and when."""

    nodes: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    draining: list[str] = field(default_factory=list)

    async def of(self, node: str) -> None:
        """Wait until this node is lost, once."""

        async def lost() -> int:
            return self.nodes.count(node)

        assert await eventually(lost) == 1


@asynccontextmanager
async def watching(**options: Any) -> AsyncIterator[tuple[NodeWatch, Lost]]:
    """A watch over the nodes."""
    heard = Lost()
    watch = node_watch(lost=heard.nodes.append, back=heard.back.append, draining=heard.draining.append, **options)
    await watch.open()
    try:
        yield watch, heard
    finally:
        await watch.close()


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """These processes, stopped and continued."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGCONT)


async def child_on(node_id: str, num_cpus: int = 0) -> tuple[Any, int]:
    """An actor on a node, and its process."""
    where = NodeAffinitySchedulingStrategy(node_id, soft=False)
    actor: Any = ray.remote(Victim).options(num_cpus=num_cpus, scheduling_strategy=where).remote()
    pid, _ = await actor.ready.remote()
    return actor, pid


async def heard(watch: NodeWatch, node_id: str) -> None:
    """Wait until the node's agent beats."""
    assert node_id not in await watch.wait_heard(WAIT_S)
    assert watch.verdict(node_id) == "alive"


def report(what: str, since_s: float) -> float:
    """Print and give the seconds since then."""
    took_s = time.monotonic() - since_s
    print(f"{what}: {took_s:.3f} s")  # noqa: T201 - the figure is what the test is for
    return took_s


@pytest.mark.parametrize(
    ("call", "why"),
    [("regex", "of CPU without a beat"), ("sleep_with_the_interpreter", "blocked for")],
)
@pytest.mark.parametrize("far", [False, True], ids=["here", "on another node"])
def test_a_child_that_keeps_the_interpreter_is_hung(cluster: LocalNodes, call: str, why: str, far: bool) -> None:
    """C code that does not give it back, busy or asleep, silences the beats; it is killed from outside."""

    async def run() -> None:
        options = Heartbeat(blocked_s=2.0)
        async with watching() as (watch, _):
            hearts = RayHearts(watch, options)
            node_id = cluster.ids[1] if far else ray.get_runtime_context().get_node_id()
            actor, pid = await child_on(node_id)
            await hearts.begin(actor)
            told = Heard()
            hearts.watch(pid, node_id, hung=told.hung, ended=told.ended.set)
            if far:
                await heard(watch, node_id)
            since_s = time.monotonic()
            getattr(actor, call).remote()
            await asyncio.wait_for(told.ended.wait(), WAIT_S)
            report(f"{call}, far={far}", since_s)
            assert why in told.why
            hearts.close()

    asyncio.run(run())


def test_a_stopped_child_is_hung() -> None:
    """State T: no signal but SIGKILL ends it."""

    async def run() -> None:
        hearts, told = RayHearts(), Heard()
        here = ray.get_runtime_context().get_node_id()
        actor, pid = await child_on(here)
        await hearts.begin(actor)
        hearts.watch(pid, here, hung=told.hung, ended=told.ended.set)
        since_s = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        await asyncio.wait_for(told.ended.wait(), WAIT_S)
        report("SIGSTOP of a child", since_s)
        assert told.why == "hung: stopped by a signal"
        hearts.close()

    asyncio.run(run())


def test_a_child_that_is_busy_in_python_beats_on() -> None:
    """Its calls fill it, nothing of it answers: that is not hung. Its end is heard early."""

    async def run() -> None:
        hearts, told = RayHearts(options=Heartbeat(interval_s=0.05, misses=20)), Heard()
        here = ray.get_runtime_context().get_node_id()
        actor, pid = await child_on(here)
        await hearts.begin(actor)
        heart = hearts.watch(pid, here, hung=told.hung, ended=told.ended.set, early=True)
        actor.spin.remote()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(told.ended.wait(), 2.0)
        assert told.why == ""
        since_s = time.monotonic()
        heart.kill()
        await asyncio.wait_for(told.ended.wait(), WAIT_S)
        report("end of a child", since_s)
        hearts.close()

    asyncio.run(run())


async def node_died(actor: Any) -> bool:
    """Whether a call to it says so."""
    try:
        await asyncio.wait_for(actor.ready.remote(), 0.1)
    except TimeoutError:
        return False
    except ray.exceptions.ActorDiedError as error:
        return "its node has died" in str(error)
    return False


@contextmanager
def throttled(pid: int) -> Iterator[None]:
    """A process with one millisecond of CPU a second."""
    group = Path("/sys/fs/cgroup/cpu" if Path("/sys/fs/cgroup/cpu").is_dir() else "/sys/fs/cgroup") / f"sv{pid}"
    try:
        group.mkdir()
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text("1000 1000000")
        else:
            (group / "cpu.cfs_period_us").write_text("1000000")
            (group / "cpu.cfs_quota_us").write_text("1000")
    except OSError as error:
        pytest.skip(f"nobody may be given less CPU here: {error}")
    (group / "cgroup.procs").write_text(str(pid))
    try:
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def test_a_child_that_gets_no_cpu_is_left_alone() -> None:
    """It is silent for three times as long as a hung one may be, and lives."""

    async def run() -> None:
        hearts, told = RayHearts(options=Heartbeat(blocked_s=1.0)), Heard()
        here = ray.get_runtime_context().get_node_id()
        actor, pid = await child_on(here)
        await hearts.begin(actor)
        hearts.watch(pid, here, hung=told.hung, ended=told.ended.set)
        actor.spin.remote()
        with throttled(pid), pytest.raises(TimeoutError):
            await asyncio.wait_for(told.ended.wait(), 3.0)
        assert (told.why, psutil.pid_exists(pid)) == ("", True)
        hearts.close()

    asyncio.run(run())


def raylet_of(node: Any) -> psutil.Process:
    """The node's manager."""
    return psutil.Process(node.all_processes["raylet"][0].process.pid)


@pytest.mark.parametrize("how", ["killed", "frozen", "raylet stopped"])
def test_a_lost_node_is_noticed_without_waiting_for_ray(cluster: LocalNodes, how: str) -> None:
    """Within the timeout; Ray then believes it at once, and ends the actors that were there."""

    async def run() -> None:
        async with cluster.another() as node, watching() as (watch, told):
            actor, _ = await child_on(node.node_id)
            await heard(watch, node.node_id)
            raylet = raylet_of(node)
            family = [raylet.pid, *(child.pid for child in raylet.children(recursive=True))]
            since_s = time.monotonic()
            with stopped(*({"frozen": family, "raylet stopped": family[:1]}.get(how, []))):
                if how == "killed":
                    raylet.kill()
                await told.of(node.node_id)
                assert report(f"node {how}: lost", since_s) <= BOUND_S + SLACK_S
                await eventually(lambda: node_died(actor))
                assert report(f"node {how}: Ray says so", since_s) <= BOUND_S + 2 * SLACK_S

    asyncio.run(run())


def test_a_node_that_comes_back_is_a_zombie(cluster: LocalNodes) -> None:
    """Frozen, lost, and on its feet again: whoever gave its children up is told, and readmits it."""

    async def run() -> None:
        async with cluster.another() as node, watching(tell_ray=False) as (watch, told):
            await heard(watch, node.node_id)
            raylet = raylet_of(node)
            with stopped(raylet.pid, *(child.pid for child in raylet.children(recursive=True))):
                await told.of(node.node_id)
                assert node.node_id in watch.lost_nodes

            async def back() -> bool:
                return node.node_id in told.back

            await eventually(back)
            assert watch.verdict(node.node_id) == "zombie"
            watch.readmit(node.node_id)
            assert node.node_id not in watch.lost_nodes

    asyncio.run(run())


def test_an_agent_that_dies_alone_does_not_lose_its_node(cluster: LocalNodes) -> None:
    """Another one takes its place, and is told whom to watch."""

    async def run() -> None:
        node_id = cluster.ids[1]
        async with watching() as (watch, told):
            actor, pid = await child_on(node_id)
            hearts, ended = RayHearts(watch), Heard()
            await hearts.begin(actor)
            await heard(watch, node_id)
            hearts.watch(pid, node_id, hung=ended.hung, ended=ended.ended.set)
            agent = ray.get_actor(f"agent:{node_id}", namespace="_supervisors")
            ray.kill(agent)

            async def unheard() -> bool:
                return watch.verdict(node_id) == "unknown"

            await eventually(unheard)
            await heard(watch, node_id)
            os.kill(pid, signal.SIGKILL)
            await asyncio.wait_for(ended.ended.wait(), WAIT_S)
            assert node_id not in told.nodes
            hearts.close()

    asyncio.run(run())


def test_a_draining_node_is_told_of_once(cluster: LocalNodes) -> None:
    """Ray's notice comes before the loss."""

    async def run() -> None:
        async with cluster.another() as node, watching() as (_, told):
            actor, _ = await child_on(node.node_id, num_cpus=1)  # an idle node would leave at once
            client = ray._private.worker.global_worker.gcs_client  # type: ignore[attr-defined]
            client.drain_node(node.node_id, 2, "preemption", time.time_ns() // 1_000_000 + 600_000)

            async def draining() -> bool:
                return node.node_id in told.draining

            await eventually(draining)
            assert await actor.ready.remote()
            assert node.node_id not in told.nodes

    asyncio.run(run())


def test_an_agent_that_nobody_listens_to_leaves() -> None:
    """It is detached: nobody else would end it."""

    async def run() -> None:
        where = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        start = ray.remote(RayNodeAgent).options(num_cpus=0, scheduling_strategy=where).remote
        agent: Any = start("127.0.0.1", NodeBeat(), 1.0)
        host, port = await agent.address.remote()
        assert [host, port] == list(await agent.address.remote())

        async def gone() -> bool:
            try:
                await asyncio.wait_for(agent.address.remote(), 0.1)
            except ray.exceptions.ActorDiedError:
                return True
            except TimeoutError:
                return False
            return False

        await eventually(gone)

    asyncio.run(run())
