"""Registries, groups and monitors over three nodes, one of which is killed, or frozen and awake again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from supervisors import Child, Groups, Registry, Supervisor, keeper_spec, monitor
from supervisors.entries import Event, Registered, Unregistered
from supervisors.errors import AlreadyRegistered, StaleEpoch
from supervisors.groups_core import GroupEvent, Left, RoundRobin
from tests.cluster.supervisors.actors import WAIT_S, eventually, gone, handle, living, worker
from tests.cluster.supervisors.nodes import LocalNodes, connected_nodes

HEAD = {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}
BOUND_S = 2.0
SLACK_S = 6.0
"""The machine is busy with other tests; the figures themselves are printed."""


class Peer:
    """Registers, joins and looks around from its own node."""

    async def node(self) -> str:
        return ray.get_runtime_context().get_node_id()

    async def enter(self, key: str) -> None:
        self._names, self._groups = await Registry.open("names"), await Groups.open()
        await self._names.register(key)
        await self._groups.join("g")

    async def open(self) -> None:
        self._names, self._groups = await Registry.open("names"), await Groups.open()

    async def sync(self) -> None:
        await self._names.sync()
        await self._groups.sync()

    async def nodes_of(self, *keys: str) -> list[str]:
        return [holder.node if (holder := self._names.whereis(key)) else "" for key in keys]

    async def member_nodes(self) -> tuple[list[str], list[str]]:
        return [m.node for m in self._groups.members("g")], [m.node for m in self._groups.local_members("g")]

    async def sent(self, to: Any, times: int = 1) -> list[str]:
        turn = RoundRobin()
        answers = [await self._groups.dispatch("g", "node", to=to, choose=turn) for _ in range(times)]
        return [node for answer in answers for node in answer]

    async def lost(self, key: str) -> float:
        """When nobody was found here under the key any more."""
        if self._names.whereis(key) is not None:
            over = asyncio.Event()
            stop = self._names.listen(lambda event: over.set() if isinstance(event, Unregistered) else None)
            await over.wait()
            stop()
            assert self._names.whereis(key) is None
        return time.monotonic()

    async def try_for_ever(self, key: str, log: str) -> None:
        """Write down, again and again, what came of taking the name, and who is found under it."""
        while True:
            try:
                await self._names.register(key)
                got = "taken"
            except (AlreadyRegistered, StaleEpoch) as error:
                got = type(error).__name__
            found = self._names.whereis(key)
            _write(log, f"{got} {found.node if found else None}")
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[LocalNodes]:
    """Three nodes."""
    with connected_nodes(3) as nodes:
        yield nodes


@dataclass
class World:
    """A supervisor and its keeper on the first node, and peers where a test wants them."""

    supervisor: Supervisor
    names: Registry
    groups: Groups
    children: list[Child] = field(default_factory=list)

    async def peer(self, node: str, key: str = "") -> Any:
        """The handle of a peer on that node, registered if there is a key."""
        labels = {"ray.io/node-id": node}
        spec = worker(f"{key or 'peer'}-{len(self.children)}", Peer, node_labels=labels, restart="temporary")
        child = await self.supervisor.start_child(spec)
        assert isinstance(child, Child)
        self.children.append(child)
        actor = handle(child)
        await (actor.enter.remote(key) if key else actor.open.remote())
        return actor

    async def heard(self) -> None:
        """Wait until the keeper hears every node."""
        keeper = handle(await living(self.supervisor, "registry"))
        assert not await keeper.wait_heard.remote(WAIT_S)


def told(story: Callable[[World], Awaitable[None]]) -> None:
    """Run it, not for ever; afterwards nobody holds anything."""

    async def run() -> None:
        supervisor = await Supervisor.start(max_restarts=50, options=HEAD, children=[keeper_spec(options=HEAD)])
        try:
            async with asyncio.timeout(3 * WAIT_S):
                await story(World(supervisor, await Registry.open("names"), await Groups.open()))
        finally:
            await supervisor.stop()

    asyncio.run(run())


def raylet_of(node: Any) -> psutil.Process:
    """The node's manager."""
    return psutil.Process(node.all_processes["raylet"][0].process.pid)


def family_of(node: Any) -> list[int]:
    """Its manager and all that runs there."""
    raylet = raylet_of(node)
    return [raylet.pid, *(child.pid for child in raylet.children(recursive=True))]


def tell(number: signal.Signals, *pids: int) -> None:
    """Send a signal to those that exist."""
    for pid in pids:
        if psutil.pid_exists(pid):
            os.kill(pid, number)


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Stopped, and afterwards continued."""
    tell(signal.SIGSTOP, *pids)
    try:
        yield
    finally:
        tell(signal.SIGCONT, *pids)


def report(what: str, took_s: float) -> float:
    """Print and give the seconds."""
    print(f"{what}: {took_s:.3f} s")  # noqa: T201 - the figure is what the test is for
    return took_s


def test_names_and_groups_are_found_from_every_node_without_asking_the_keeper(cluster: LocalNodes) -> None:
    """It is stopped meanwhile: `all`, `local` and `one` are sent by what each caller has."""

    async def story(world: World) -> None:
        keys = ["a", "b", "c"]
        peers = [await world.peer(node, key) for node, key in zip(cluster.ids, keys, strict=True)]
        for peer in peers:
            await peer.sync.remote()
        with stopped((await living(world.supervisor, "registry")).pid):
            for peer, node in zip(peers, cluster.ids, strict=True):
                assert await peer.nodes_of.remote(*keys) == cluster.ids
                assert await peer.member_nodes.remote() == (cluster.ids, [node])
                assert await peer.sent.remote("all") == cluster.ids
                assert await peer.sent.remote("local") == [node]
                assert await peer.sent.remote("one", 4) == [*cluster.ids, cluster.ids[0]]

    told(story)


def test_who_was_on_a_killed_node_is_gone_from_all_books_at_once(cluster: LocalNodes) -> None:
    """Entries, memberships and monitors, in other nodes' processes; the name is free for another holder."""

    async def story(world: World) -> None:
        async with cluster.another() as node:
            near, _ = await world.peer(cluster.ids[1]), await world.peer(node.node_id, "k")
            await near.sync.remote()
            left, heard = world.groups.members("g"), list[GroupEvent]()
            world.groups.monitor("g", heard.append)
            watcher = await monitor(world.children[-1])
            await world.heard()
            lost = near.lost.remote("k")
            since_s = time.monotonic()
            raylet_of(node).kill()
            assert report("gone from another node's copy", await lost - since_s) <= BOUND_S + SLACK_S
            assert (await watcher.down(WAIT_S)).reason.kind == "noconnection"
            assert report("monitors told", time.monotonic() - since_s) <= BOUND_S + SLACK_S
            await world.peer(cluster.ids[2], "k")
            await world.names.sync()
            assert world.names.lookup("k")[0].who.node == cluster.ids[2]
            assert heard[0] == Left("g", left[0])

    told(story)


def test_a_frozen_node_that_wakes_up_neither_answers_for_its_names_nor_takes_them_back(
    cluster: LocalNodes, tmp_path: Path
) -> None:
    """The stale twin runs on for a while: its manager wakes up last."""

    async def story(world: World) -> None:
        async with cluster.another() as node:
            stale, log = await world.peer(node.node_id, "k"), tmp_path / "log"
            twin = world.children[-1]
            stale.try_for_ever.remote("k", str(log))
            await world.heard()
            await eventually(lambda: _written(log, f"AlreadyRegistered {node.node_id}"))
            family, seen = family_of(node), list[Event]()
            with stopped(*family):
                since_s = time.monotonic()
                assert await eventually(lambda: _nobody(world.names, "k"))
                assert report("gone from this copy", time.monotonic() - since_s) <= BOUND_S + SLACK_S
                world.names.listen(seen.append)
                await world.peer(cluster.ids[1], "k")
                tell(signal.SIGCONT, twin.pid)
                await eventually(lambda: _written(log, f"StaleEpoch {cluster.ids[1]}"))
            await gone(family[0])  # Ray's manager of a node that was given up ends; its workers may take longer
            await world.names.sync()
            tell(signal.SIGKILL, *family)
            assert _nodes_told(seen) == [(Registered, cluster.ids[1])]
            assert await world.names.call("k", "node") == cluster.ids[1]

    told(story)


def test_a_keeper_whose_node_is_lost_keeps_the_books_elsewhere(cluster: LocalNodes) -> None:
    """Looking up goes on; who was with it on that node holds nothing, who was elsewhere holds on."""

    async def story(world: World) -> None:
        async with cluster.another() as node:
            there, head = [{"label_selector": {"ray.io/node-id": id_}} for id_ in (node.node_id, cluster.ids[0])]
            options = {"num_cpus": 0, **there, "fallback_strategy": [head]}
            await world.supervisor.start_child(keeper_spec("second", options=options))
            assert (await living(world.supervisor, "second")).node == node.node_id
            names = await Registry.open("names", home="second")
            for id_, key in ((cluster.ids[1], "stays"), (node.node_id, "goes")):
                await world.peer(id_)
                await names.register(key, who=world.children[-1])
            await world.heard()
            since_s = time.monotonic()
            raylet_of(node).kill()
            assert names.whereis("stays") is not None
            await eventually(lambda: _nobody(names, "goes"))
            report("gone with its keeper", time.monotonic() - since_s)
            await names.register("goes", who=world.children[0])
            assert names.whereis("goes") == names.whereis("stays")
            assert (await living(world.supervisor, "second")).node == cluster.ids[0]

    told(story)


def _write(log: str, line: str) -> None:
    with Path(log).open("a") as file:
        file.write(f"{line}\n")


def _read(log: Path, line: str) -> bool:
    return log.exists() and line in log.read_text().splitlines()


async def _written(log: Path, line: str) -> bool:
    return _read(log, line)


async def _nobody(names: Registry, key: str) -> bool:
    return names.whereis(key) is None


def _nodes_told(events: list[Event]) -> list[tuple[type, str]]:
    return [(type(event), event.entry.who.node) for event in events]
