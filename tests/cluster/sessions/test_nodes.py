"""Hosts on several Ray nodes of this machine, which keep their sessions in PostgreSQL; on SQLite one node has all.

For a router every host of another Ray node is on another machine: the streams to those are TLS.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from dspex_actors.config import Settings
from dspex_actors.errors import DspexError
from dspex_actors.ids import body_hash
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.resources.turn import TurnRequest
from dspex_actors.sessions.ray_nodes import node_id
from dspex_actors.sessions.ray_seek import follow_table, placement_handle
from dspex_actors.sessions.router import Router
from dspex_actors.sessions.tree import ensure_tree, show_tree, stop_tree
from dspex_actors.store.opening import open_store
from dspex_actors.store.port import Store
from tests.cluster.supervisors.nodes import LocalNodes, connected_nodes
from tests.support.postgres import postgres_server

SESSIONS = 20
EVERY_S = 0.2
WAIT_S = 60.0
PREEMPTION = 2


@pytest.fixture(scope="module")
def nodes() -> Iterator[LocalNodes]:
    """Three nodes."""
    with connected_nodes(3) as made:
        yield made


@contextmanager
def tree(settings: Settings) -> Iterator[Settings]:
    """Its tree, in the connected Ray."""
    asyncio.run(ensure_tree(settings))
    try:
        yield settings
    finally:
        asyncio.run(stop_tree())
        shutil.rmtree(settings.run_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def spread(nodes: LocalNodes) -> Iterator[Settings]:
    """Five hosts over the nodes, none of which has the home folder."""
    with postgres_server() as server, tempfile.TemporaryDirectory() as folder:
        url = server.url_of(server.create_database())
        with tree(Settings(home=Path(folder) / "home", store_url=url, hosts=4, standby=1)) as settings:
            yield settings
        assert not settings.home.exists()


@asynccontextmanager
async def routing(settings: Settings) -> AsyncIterator[tuple[Router, Store]]:
    """A router on this process's node, when every host has come."""
    store = open_store(settings.database_url)
    router = Router(store.store_id, store.stream_key, node_id())
    following = asyncio.ensure_future(follow_table(router.update))
    try:
        await until(lambda: len(router.table.hosts) == settings.hosts + settings.standby and not router.unready())
        yield router, store
    finally:
        following.cancel()
        await router.close()
        store.close()


async def until(condition: object) -> None:
    """Until it holds."""
    assert callable(condition)
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event here
            await asyncio.sleep(0.005)


class Pace:
    """Turns in every session at a fixed pace, and how many of them have been answered."""

    def __init__(self, router: Router, records: list[SessionRecord]) -> None:
        self.answered = 0
        self._router = router
        self._tasks = [asyncio.ensure_future(self._ask(record)) for record in records]
        self._stopped = False

    async def stop(self) -> None:
        """No further turns; raises what one of them raised."""
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def _ask(self, record: SessionRecord) -> None:
        number = 0
        while not self._stopped:
            number += 1
            answer = await self._router.predict(record, turn(number))
            assert orjson.loads(answer.body)["turn"] == number
            self.answered += 1
            await asyncio.sleep(EVERY_S)


def turn(number: int) -> TurnRequest:
    """A keyed turn."""
    inputs = {"question": f"number {number}"}
    return TurnRequest(f"t{number}", True, body_hash("turn", inputs), orjson.dumps(inputs), 30.0)


def leave(node: str) -> None:
    """Ray's own call: the node will go in ten minutes, as a cloud says of one that is preempted."""
    client = ray._private.worker.global_worker.gcs_client  # type: ignore[attr-defined]
    client.drain_node(node, PREEMPTION, "preemption", time.time_ns() // 1_000_000 + 600_000)


async def listening() -> dict[str, list[tuple[Any, ...]]]:
    """Where each host's process, and placement's, listens on TCP."""
    loads = await (await placement_handle()).loads.remote()
    pids = {name: load["pid"] for name, load in loads.items() if load} | {"": await pid_of_placement()}
    return {name: [tuple(each.laddr) for each in psutil.Process(pid).net_connections("tcp") if each.status == "LISTEN"]
            for name, pid in pids.items()}  # fmt: skip


async def pid_of_placement() -> int:
    """That process."""
    children = (await show_tree())["children"]
    return next(int(child["pid"]) for child in children if child["kind"] == "placement")


@ray.remote(num_cpus=0)
def refusal(settings: Settings) -> str:
    """What somebody hears who starts the tree from the node that this runs on."""
    try:
        asyncio.run(ensure_tree(settings))
    except DspexError as error:
        return error.detail
    return ""


@pytest.mark.timeout(240)
def test_on_sqlite_everything_is_on_one_node_and_another_is_told_what_to_set(nodes: LocalNodes, tmp_path: Path) -> None:
    """No host listens for others: it has no more ports than placement, which are Ray's."""

    async def scenario(settings: Settings) -> None:
        async with routing(settings) as (router, _):
            assert set(router.table.nodes.values()) == {nodes.ids[0]}
            assert router.table.remotes == {}
            assert {len(ports) for ports in (await listening()).values()} == {1}

    with tree(Settings(home=tmp_path / "home", hosts=1, standby=1)) as settings:
        asyncio.run(scenario(settings))
        elsewhere = NodeAffinitySchedulingStrategy(nodes.ids[1], soft=False)
        said = ray.get(refusal.options(scheduling_strategy=elsewhere).remote(settings))
        assert "DSPEX_STORE_URL" in said


@pytest.mark.timeout(240)
def test_on_postgres_hosts_are_spread_and_turns_reach_them_over_tls(spread: Settings) -> None:
    """The one node's by their sockets, all others' at their node's own address."""

    async def scenario() -> None:
        async with routing(spread) as (router, store):
            here = node_id()
            assert sorted(Counter(router.table.nodes.values()).values()) == [1, 2, 2]
            for host, ports in (await listening()).items():
                remote = router.table.remotes.get(host)
                assert remote is None or (remote.ip, remote.port) in ports
                assert not any(ip in ("0.0.0.0", "::") for ip, port in ports if remote and port == remote.port)
            store.create_program("default", ProgramSpec(name="tls", signature="question -> answer"))
            for number in range(SESSIONS):
                record = store.create_session("default", SessionSpec(program="tls", id=f"tls{number}")).value
                assert orjson.loads((await router.predict(record, turn(1))).body)["turn"] == 1
            for host, link in router._links.items():
                is_tls = link._transport.get_extra_info("ssl_object") is not None  # type: ignore[union-attr]
                assert is_tls == (router.table.nodes[host] != here)
            owners = {host for host, _ in router.table.units.values()}
            assert len({router.table.nodes[host] for host in owners}) > 1

    asyncio.run(scenario())


@pytest.mark.timeout(240)
def test_the_sessions_of_a_node_that_is_told_to_go_leave_at_once(spread: Settings) -> None:
    """No turn fails; the sessions leave long before the node does, and its hosts are started again on the other nodes.
    What it costs the turns of that moment is in docs/explanation/handover.md."""

    async def scenario() -> None:
        async with routing(spread) as (router, store):
            store.create_program("default", ProgramSpec(name="qa", signature="question -> answer"))
            records = [
                store.create_session("default", SessionSpec(program="qa", id=f"s{number}")).value
                for number in range(SESSIONS)
            ]
            pace = Pace(router, records)
            await until(lambda: pace.answered > 5 * SESSIONS)
            here = ray.get_runtime_context().get_node_id()
            owners = {host for host, _ in router.table.units.values()}
            going = next(node for host, node in router.table.nodes.items() if host in owners and node != here)
            leave(going)
            await until(lambda: all(router.place(record).node != going for record in records))
            await until(lambda: going not in router.table.nodes.values() and len(router.table.hosts) == 5)
            answered = pace.answered
            await until(lambda: pace.answered > answered + 2 * SESSIONS)
            await pace.stop()

    asyncio.run(scenario())
