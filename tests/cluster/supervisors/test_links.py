"""Links and monitors between real actors, in processes of their own that get killed."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from supervisors import ChildSpec, Exit, Process, Supervisor, SupervisorSpec
from supervisors.address import Address
from supervisors.child import Child
from supervisors.errors import NotAProcess, StartError, SupervisorDown
from supervisors.monitors import monitor
from supervisors.ray_links import Letter
from supervisors.ray_spawn import spawn
from supervisors.signals import Down, ExitSignal
from tests.cluster.supervisors.actors import WAIT_S, Worker, another, eventually, gone, handle, living, sigkill, worker

BOOM = Exit("crash", "ValueError: boom")
NO_CPU = {"num_cpus": 0}


# Ray counts a node as lost after some two seconds, not after fifteen.
HEALTH = {"health_check_period_ms": 500, "health_check_timeout_ms": 1000, "health_check_failure_threshold": 3}
NODE: dict[str, Any] = {"num_cpus": 4, "object_store_memory": 80_000_000}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Cluster]:
    """One node, to which a test may add one that it loses; everything of it is gone afterwards."""
    folder = tempfile.mkdtemp(prefix="sv", dir="/tmp")
    (Path(folder) / "ray").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_TMPDIR", folder)
        head = NODE | {"include_dashboard": False, "_system_config": HEALTH}
        nodes = Cluster(initialize_head=True, head_node_args=head)
        ray.init(address=nodes.address, log_to_driver=False)
        try:
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()  # type: ignore[no-untyped-call]
            shutil.rmtree(folder, ignore_errors=True)


class Probe(Process):
    """Tells what it was told."""

    def __init__(self, trap_exit: bool = False) -> None:
        self.trap_exit = trap_exit
        self._told: asyncio.Queue[tuple[Address, Exit] | Down] = asyncio.Queue()

    async def handle_exit(self, sender: Address, reason: Exit) -> None:
        await self._told.put((sender, reason))

    async def handle_down(self, down: Down) -> None:
        await self._told.put(down)

    async def told(self) -> tuple[Address, Exit] | Down:
        return await self._told.get()

    async def pid(self) -> int:
        return os.getpid()


class Fails(Probe):
    """Does not come up."""

    async def init(self) -> None:
        raise ValueError("not today")


def run(story: Callable[[], Awaitable[None]]) -> None:
    """In a loop of its own, not for ever."""

    async def limited() -> None:
        async with asyncio.timeout(3 * WAIT_S):
            await story()

    asyncio.run(limited())


async def probes(*traps: bool) -> list[Any]:
    """Some at once."""
    return list(await asyncio.gather(*(spawn(Probe, trap, options=NO_CPU) for trap in traps)))


def incarnation_of(actor: Any) -> str:
    """What its address says."""
    return str(actor._actor_id.hex())


def test_a_crash_goes_through_links_and_is_trapped_with_its_reason() -> None:
    """a - b - c: c traps, and reads b's end, which is a's."""

    async def story() -> None:
        a, b, c = await probes(False, False, True)
        await a.link.remote(b)
        await b.link.remote(c)
        ends = [await monitor(actor) for actor in (a, b)]
        a.exit.remote(BOOM)
        assert [(await end.down(WAIT_S)).reason for end in ends] == [BOOM, BOOM]
        sender, reason = await c.told.remote()
        assert (sender.incarnation, reason) == (incarnation_of(b), BOOM)

    run(story)


def test_sigkill_of_a_linked_actor_ends_the_other_and_is_told_to_those_who_trap_or_watch() -> None:
    """Nobody said a word: Ray's feed of deaths did."""

    async def story() -> None:
        a, b, c = await probes(False, False, True)
        await b.link.remote(a)
        await c.link.remote(a)
        ref = await c.monitor.remote(a)
        killed, other = await asyncio.gather(a.pid.remote(), b.pid.remote())
        end = await monitor(b)
        sigkill(killed)
        assert (await end.down(WAIT_S)).reason == Exit("killed")
        both = [await c.told.remote(), await c.told.remote()]
        assert Down(ref, ref.process, Exit("killed")) in both
        assert (ref.process, Exit("killed")) in both
        await gone(other)

    run(story)


def test_the_dead_are_noproc_at_once_for_links_and_monitors() -> None:
    """Within the actor and from outside."""

    async def story() -> None:
        a, c = await probes(False, True)
        pid = await a.pid.remote()
        a.exit.remote()
        await gone(pid)
        assert (await (await monitor(a)).down(WAIT_S)).reason == Exit("noproc")
        ref = await c.monitor.remote(a)
        assert (await c.told.remote()).reason == Exit("noproc")
        await c.link.remote(a)
        assert await c.told.remote() == (ref.process, Exit("noproc"))

    run(story)


def test_unlink_and_demonitor_are_heeded_and_kill_cannot_be_trapped() -> None:
    """b lets go of c from its side; a monitor that stays tells the kill."""

    async def story() -> None:
        b, c = await probes(False, True)
        await c.link.remote(b)
        first, second = await c.monitor.remote(b), await c.monitor.remote(b)
        await c.unlink.remote(b)
        assert await c.demonitor.remote(first)
        await c.send_exit.remote(b, kill=True)
        assert await c.told.remote() == Down(second, second.process, Exit("killed"))

    run(story)


def test_a_plain_actor_can_be_monitored_and_not_linked() -> None:
    """The refusal says what to do. Watching an actor does not keep it alive."""

    async def story() -> None:
        (c,) = await probes(True)
        remote: Any = ray.remote(Worker)
        plain = remote.options(**NO_CPU).remote()
        await plain.name.remote()
        with pytest.raises(NotAProcess, match="monitor it, or let its class inherit"):
            await c.link.remote(plain)
        ref, end = await c.monitor.remote(plain), await monitor(plain)
        del plain
        assert await c.told.remote() == Down(ref, ref.process, Exit("killed"))
        assert (await end.down(WAIT_S)).reason == Exit("killed")

    run(story)


def test_a_letter_that_comes_twice_is_read_once() -> None:
    """Ray does not always know whether a call has run; then it is made again."""

    async def story() -> None:
        (c,) = await probes(True)
        sender = Address("", "", "00" * 16)
        for number, reason in ((1, BOOM), (1, BOOM), (2, Exit("shutdown"))):
            await c.supervised_signals.remote(Letter(sender, None, number, (ExitSignal(reason),)))
        assert [await c.told.remote(), await c.told.remote()] == [(sender, BOOM), (sender, Exit("shutdown"))]

    run(story)


def test_children_of_a_supervisor_link_by_their_child_and_end_with_shutdown_when_stopped() -> None:
    """`terminate_child` is an end like any other; the linked one, temporary, goes too."""

    async def story() -> None:
        specs = [ChildSpec(id_, start=Probe, options=NO_CPU, restart="temporary") for id_ in "ab"]
        sup = await Supervisor.start(children=specs)
        children = {row.id: row.child for row in await sup.which_children()}
        a, b = children["a"], children["b"]
        assert isinstance(a, Child)
        assert isinstance(b, Child)
        await handle(a).link.remote(b)
        end = await monitor(b)
        await sup.terminate_child("a")
        down = await end.down(WAIT_S)
        assert (down.process.name, down.reason) == (b.name, Exit("shutdown"))
        await sup.stop()

    run(story)


def test_a_supervisor_that_gives_up_says_so_to_those_who_watch_it() -> None:
    """Nested, by its child and its handle, before its parent kills it; and at the top."""

    async def story() -> None:
        spec = SupervisorSpec(max_restarts=0, children=(worker("a"),))
        top = await Supervisor.start(max_restarts=0, children=[ChildSpec("nested", start=spec)])
        child = await living(top, "nested")
        nested = await Supervisor.of(child)
        (c,) = await probes(True)
        ref = await c.monitor.remote(nested)
        watchers = [await monitor(what) for what in (child, nested, top)]
        sigkill((await living(nested, "a")).pid)
        downs = [await watcher.down(WAIT_S) for watcher in watchers]
        assert [down.reason.kind for down in downs] == ["shutdown"] * 3
        assert await c.told.remote() == Down(ref, nested.address, downs[0].reason)
        assert (await (await monitor(nested)).down(WAIT_S)).reason == Exit("noproc")

    run(story)


def test_a_supervisor_that_is_killed_is_told_of_and_one_that_ray_runs_again_is_not_gone() -> None:
    """Its parent starts another one; a detached top goes on, and says `shutdown` when it is stopped."""

    async def story() -> None:
        nested = ChildSpec("nested", start=SupervisorSpec())
        top = await Supervisor.start(name="top", detached=True, children=[nested], options={"num_cpus": 0})
        child = await living(top, "nested")
        end, last = await monitor(child), await monitor(top)
        sigkill(child.pid)
        assert (await end.down(WAIT_S)).reason == Exit("killed")
        await another(top, child)
        before = await top.tree()
        sigkill(before["pid"])
        await eventually(lambda: _another_life(before["pid"]))
        await top.stop()
        assert (await last.down(WAIT_S)).reason == Exit("shutdown")

    run(story)


async def _another_life(pid: int) -> bool:
    try:
        return bool((await (await Supervisor.find("top")).tree(timeout_s=5))["pid"] != pid)
    except SupervisorDown:
        return False


def test_what_does_not_come_up_is_a_start_error() -> None:
    """With the exception of `init`."""

    async def story() -> None:
        with pytest.raises(StartError, match="not today"):
            await spawn(Fails, options=NO_CPU)

    run(story)


def test_a_lost_node_is_noconnection_to_links_and_monitors(cluster: Cluster) -> None:
    """Nobody knows whether the process there lives."""

    async def story() -> None:
        b, c = await probes(False, True)  # here, where the first node is the only one
        there = cluster.add_node(**NODE, resources={"there": 1})
        try:
            far = await spawn(Probe, options=NO_CPU | {"resources": {"there": 1}})
            await b.link.remote(far)
            await c.link.remote(far)
            far_end, end = await monitor(far), await monitor(b)
        finally:
            cluster.remove_node(there, allow_graceful=False)
        assert (await end.down(WAIT_S)).reason.kind == "noconnection"
        _, reason = await c.told.remote()
        assert (reason.kind, (await far_end.down(WAIT_S)).reason.kind) == ("noconnection", "noconnection")

    run(story)
