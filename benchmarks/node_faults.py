"""Three Ray nodes on this machine, of which one is killed, frozen or cut from its control store, under a paced load.

What is asked is decided before, not by the answers: every session has its next turn at a fixed pace, whatever has
become of the one before. Used by `benchmarks/node_failover.py` and by the cluster tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import psutil
import psycopg
import ray
from ray.cluster_utils import Cluster

from benchmarks.node_figures import Asked, Figures, figures
from benchmarks.ports import free_port
from benchmarks.quiet import QUIET
from dspex_actors.config import Settings
from dspex_actors.errors import DspexError
from dspex_actors.ids import body_hash
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.resources.turn import TurnRequest
from dspex_actors.sessions.placement import Table
from dspex_actors.sessions.ray_nodes import node_id
from dspex_actors.sessions.ray_seek import NAMESPACE, follow_table
from dspex_actors.sessions.router import Router
from dspex_actors.sessions.tree import ROOT, children, show_tree, stop_tree
from dspex_actors.store.opening import open_store
from supervisors import Supervisor, SupervisorError

NODES = 3
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000}
HOSTS, STANDBY = 3, 1
SESSIONS = 20
EVERY_S = 0.25
SETTLED_S = 1.0
WAIT_S = 120.0
TIMEOUT_S = 60.0
QUIETER = QUIET | {"RAY_AUTH_MODE": "disabled"}
ROWS = (
    "SELECT s.id, j.turn_id, j.turn FROM journal j JOIN session s ON s.uid = j.uid"
    " WHERE j.kind = 'turn' ORDER BY s.id, j.seq"
)

Json = dict[str, Any]


class FaultyNodes:
    """A cluster whose control store keeps what it knows in files; the first node is the head."""

    def __init__(self) -> None:
        port = free_port()
        self._cluster = Cluster(
            initialize_head=True, head_node_args=NODE | {"include_dashboard": False, "gcs_server_port": port}
        )
        self.address: str = self._cluster.address
        head: Any = self._cluster.head_node  # annotated as None
        self._head, self.head = head, str(head.node_id)
        for _ in range(NODES - 1):
            self.add()

    def add(self) -> None:
        """One more node."""
        self._cluster.add_node(**NODE)

    def family(self, node_id: str) -> list[psutil.Process]:
        """A node's manager and all that it has started."""
        nodes = self._cluster.list_all_nodes()  # type: ignore[no-untyped-call]
        node = next(node for node in nodes if node.node_id == node_id)
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        return [raylet, *raylet.children(recursive=True)]

    def kill(self, node_id: str) -> list[psutil.Process]:
        """SIGKILL for all of a node, its manager first."""
        found = self.family(node_id)
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return found

    def freeze(self, node_id: str) -> list[psutil.Process]:
        """SIGSTOP for all of a node, its manager first."""
        found = self.family(node_id)
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        return found

    def kill_control_store(self) -> None:
        """SIGKILL for the head's control store alone."""
        self._head.kill_gcs_server(check_alive=False)

    def start_control_store(self) -> None:
        """Start it again, at the same port, on what it has kept."""
        self._head.start_gcs_server()

    def shutdown(self) -> None:
        """End all of it."""
        self._cluster.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def faulty_nodes() -> Iterator[FaultyNodes]:
    """A cluster in a short folder of its own, to which this process is connected."""
    folder = Path(tempfile.mkdtemp(prefix="nf", dir="/tmp"))  # Ray's sockets need a short path
    (folder / "ray").mkdir()
    keeps = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(folder / "gcs")}
    with patch.dict(os.environ, QUIETER | keeps | {"RAY_TMPDIR": str(folder)}):
        nodes = FaultyNodes()
        try:
            ray.init(address=nodes.address, log_to_driver=False)
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


class Stage:
    """A tree on the nodes, a router that follows placement, and sessions."""

    def __init__(self, nodes: FaultyNodes, settings: Settings) -> None:
        self.nodes, self._settings = nodes, settings
        self.asked: list[Asked] = []
        self.tables: list[tuple[float, Table]] = []
        self._store = open_store(settings.database_url)
        self._numbers: dict[str, int] = {}

    async def open(self) -> None:
        """Start all of it; root is on the node that placement comes to be on, too."""
        self.root_node = min(row["NodeID"] for row in ray.nodes() if row["NodeID"] != self.nodes.head)  # type: ignore[no-untyped-call]
        there = {"ray.io/node-id": self.root_node}
        options = {"num_cpus": 0, "label_selector": there, "fallback_strategy": [{"label_selector": {}}]}
        await Supervisor.start(
            name=ROOT, namespace=NAMESPACE, detached=True, max_restarts=10, max_seconds=10,
            children=children(self._settings), options=options,
        )  # fmt: skip
        self.router = Router(self._store.store_id, self._store.stream_key, node_id())
        self._following = asyncio.ensure_future(follow_table(self._update))
        self._store.create_program("default", ProgramSpec(name="qa", signature="question -> answer"))
        self.records = [
            self._store.create_session("default", SessionSpec(program="qa", id=f"s{number}")).value
            for number in range(SESSIONS)
        ]

    async def close(self) -> None:
        """End all of it."""
        self._following.cancel()
        await self.router.close()
        await stop_tree()
        self._store.close()
        shutil.rmtree(self._settings.run_dir, ignore_errors=True)

    def _update(self, table: Table) -> None:
        self.tables.append((time.monotonic(), table))
        self.router.update(table)

    async def wait_whole(self) -> Json:
        """Wait until all hosts are there and a placement stands by on another node; the one that leads."""
        async with asyncio.timeout(WAIT_S):
            while True:
                led, stands_by = await self.placements()
                hosts = len(self.router.table.hosts) == HOSTS + STANDBY and not self.router.unready()
                if hosts and led and stands_by and led["node"] != stands_by["node"]:
                    return led
                await asyncio.sleep(0.1)

    async def placements(self) -> tuple[Json | None, Json | None]:
        """The one that leads, and the one that stands by; neither is known while root is on its way back."""
        try:
            tree = await show_tree()
        except SupervisorError:
            return None, None
        found = {node["kind"]: node for node in tree["children"] if node["status"] == "ready"}
        return found.get("placement"), found.get("placement-standby")

    def serving(self) -> list[str]:
        """The nodes where sessions of the load are served."""
        return sorted({place.node for place in map(self.router.place, self.records) if place.node is not None})

    def victim(self, placement: str) -> str:
        """One of these which is not the head, and not that of placement where there is another."""
        return min((node for node in self.serving() if node != self.nodes.head), key=lambda node: node == placement)

    async def a_host(self) -> Json:
        """A host that has shards."""
        hosts = next(node for node in (await show_tree())["children"] if node["id"] == "hosts")
        return next(dict(node) for node in hosts["children"] if node["kind"] == "host")

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Turns in every session at a fixed pace."""
        stop = asyncio.Event()
        tasks = [asyncio.ensure_future(self._ask_on(record, stop)) for record in self.records]
        try:
            await asyncio.sleep(2 * SETTLED_S)
            yield
            await asyncio.sleep(2 * SETTLED_S)
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    async def _ask_on(self, record: SessionRecord, stop: asyncio.Event) -> None:
        due, turns = time.monotonic(), set[asyncio.Task[None]]()
        while not stop.is_set():
            number = self._numbers[record.id] = self._numbers.get(record.id, 0) + 1
            turns.add(asyncio.ensure_future(self._ask(record, number, due)))
            due += EVERY_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, due - time.monotonic()))
        await asyncio.gather(*turns)

    async def _ask(self, record: SessionRecord, number: int, due: float) -> None:
        node, error = self.router.place(record).node, None
        inputs = {"question": f"number {number}"}
        turn = TurnRequest(f"t{number}", True, body_hash("turn", inputs), orjson.dumps(inputs), TIMEOUT_S)
        try:
            answer = await self.router.predict(record, turn)
            if (got := orjson.loads(answer.body)["turn"]) != number:
                error = f"turn {got}"
        except DspexError as failed:
            error = failed.code
        self.asked.append(Asked(record.id, turn.turn_id, due, time.monotonic(), node, error))

    async def suffer(self, fault: Callable[[], Awaitable[str | None]]) -> Figures:
        """The load, and in the middle of it a fault, which names the node that it has hit."""
        first = len(self.asked)
        async with self.load():
            began = time.monotonic()
            node = await fault()
            noticed = began if node is None else await self._noticed(node, began)
        return figures(self.asked[first:], node, began, noticed)

    async def _noticed(self, node: str, since: float) -> float:
        """When the routers were told of no host on that node any more."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for at, table in self.tables:
                    if at > since and node not in table.nodes.values():
                        return at
                await asyncio.sleep(0.01)

    def check_journal(self) -> list[str]:
        """What is wrong in the journal, by the clients' word: lost, twice, out of order, or nobody's."""
        with psycopg.connect(self._settings.database_url) as connection:
            rows = connection.execute(ROWS).fetchall()
        recorded: dict[str, list[tuple[str, int]]] = {}
        for session, key, turn in rows:
            recorded.setdefault(session, []).append((key, turn))
        wrong = []
        for session in {asked.session for asked in self.asked}:
            told = sorted(int(asked.key[1:]) for asked in self.asked if asked.session == session and not asked.error)
            if recorded.get(session, []) != [(f"t{number}", number) for number in told]:
                wrong.append(f"{session}: {len(told)} acknowledged, {len(recorded.get(session, []))} recorded")
        return wrong


@asynccontextmanager
async def stage(nodes: FaultyNodes, home: Path, store_url: str) -> AsyncIterator[Stage]:
    """A ready one."""
    made = Stage(nodes, Settings(home=home, store_url=store_url, hosts=HOSTS, standby=STANDBY))
    await made.open()
    try:
        await made.wait_whole()
        yield made
    finally:
        await made.close()
