"""A node with a third of all children is lost: until all of them answer again, from warm spares and by Ray alone."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.member import Member
from supervisors import Child, ChildSpec, Supervisor

NODES = 3
NODE: dict[str, Any] = {"num_cpus": 2, "object_store_memory": 80_000_000}
LEAST = {"num_cpus": 0}
WAIT_S = 1800.0
AT_ONCE = 4
QUIETER = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_enable_metrics_collection": "0",
    "RAY_event_stats": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_task_events_report_interval_ms": "0",
}
"""What hundreds of processes on one machine would do beside waiting costs more than their work."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What came of it.

    Args:
        setup_s: Until all children and spares were up.
        lost: How many children were on the node.
        exits_s: From the first SIGKILL until the first and the last of their ends were told; none where nobody tells.
        restarted_s: Until they were started again, as their supervisor tells: the first, half of them, all.
        answered_s: Until all had answered somebody who asked each of them then; Ray's actors are asked from the start.
        nodes: How many children on each node then.
        pss_bytes: Memory of all processes before.
        idle_cores: What they used of the machine while nothing happened.
    """

    setup_s: float
    lost: int
    exits_s: tuple[float, ...]
    restarted_s: tuple[float, ...]
    answered_s: float
    nodes: tuple[int, ...]
    pss_bytes: int
    idle_cores: float


class Nodes:
    """A cluster of its own."""

    def __init__(self) -> None:
        self._cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
        for _ in range(NODES - 1):
            self._cluster.add_node(**NODE)
        self.address: str = self._cluster.address
        self._all = self._cluster.list_all_nodes()  # type: ignore[no-untyped-call]
        self.ids: list[str] = [node.node_id for node in self._all]

    def family(self, node_id: str) -> list[psutil.Process]:
        """A node's manager and all that it has started."""
        node = next(node for node in self._all if node.node_id == node_id)
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        return [raylet, *raylet.children(recursive=True)]

    def kill(self, node_id: str) -> None:
        """SIGKILL for all of a node, its manager first."""
        for process in self.family(node_id):
            process.kill()

    def pss_bytes(self) -> int:
        """Memory of all nodes' processes, what they share counted once."""
        return sum(_pss(process) for node_id in self.ids for process in self.family(node_id))

    def shutdown(self) -> None:
        """End it."""
        self._cluster.shutdown()  # type: ignore[no-untyped-call]


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0


@contextmanager
def own_nodes() -> Iterator[Nodes]:
    """A Ray of three nodes on this machine; all of it is gone afterwards."""
    folder = tempfile.mkdtemp(prefix="nl", dir="/tmp")  # Ray's sockets need a short path
    (Path(folder) / "ray").mkdir()
    with patch.dict(os.environ, QUIETER | {"RAY_TMPDIR": folder}):
        nodes = Nodes()
        try:
            ray.init(nodes.address, log_to_driver=False)
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


async def idle_cores(seconds: float = 5.0) -> float:
    """How many cores of the machine are busy."""
    before = psutil.cpu_times()
    await asyncio.sleep(seconds)
    after = psutil.cpu_times()
    return round((after.user + after.system + after.nice - before.user - before.system - before.nice) / seconds, 2)


class Supervised:
    """Children of one supervisor on the first node, with a pool of spares."""

    def __init__(self, nodes: Nodes, children: int, spares: int) -> None:
        self._nodes, self._children, self._spares = nodes, children, spares

    async def start(self) -> None:
        """All children and spares."""
        spec = ChildSpec("member", start=Member, options=LEAST, spares=self._spares, anti_affinity=True)
        first = NodeAffinitySchedulingStrategy(self._nodes.ids[0], soft=False)
        self.sup = await Supervisor.start(
            name="many", strategy="simple_one_for_one", children=[spec], detached=True,
            max_restarts=2 * self._children, options={"scheduling_strategy": first},
        )  # fmt: skip
        began = time.monotonic()
        for number in range(self._children):
            await self.sup.start_child(args=(number,))
            if number % 20 == 19:
                report.say(f"{number + 1} children after {time.monotonic() - began:.0f} s")
        while (ready := len(await self.spares())) < self._spares:
            report.say(f"{ready} spares after {time.monotonic() - began:.0f} s")
            await asyncio.sleep(5)

    async def spares(self) -> list[dict[str, Any]]:
        """Those that are ready."""
        tree = await self.sup.tree()
        return [node for node in tree["children"] if node["kind"] == "spare" and node["status"] == "ready"]

    async def children(self) -> list[Child]:
        """Those that live."""
        return [row.child for row in await self.sup.which_children() if isinstance(row.child, Child)]

    async def lose(self, node_id: str) -> tuple[list[float], list[float], float]:
        """Kill the node; when the end of each child there was told, when each was started again, when all answered."""
        lost = {child.name for child in await self.children() if child.node == node_id}
        events = self.sup.events()
        exits: list[float] = []
        restarted: list[tuple[float, str]] = []
        began = time.monotonic()
        self._nodes.kill(node_id)
        async for happening in events:
            if happening.kind == "exited" and happening.name in lost:
                exits.append(time.monotonic() - began)
            elif happening.kind == "restarted":
                restarted.append((time.monotonic() - began, str(happening.name)))
            if len(restarted) == len(lost):
                break
        await asyncio.gather(*(_who(_handle(name)) for _, name in restarted))
        return exits, [at for at, _ in restarted], time.monotonic() - began

    async def where(self) -> dict[int, str]:
        """The node of each number; raises if one is there twice."""
        children = await self.children()
        numbers = await asyncio.gather(*(_who(_handle(child.name)) for child in children))
        found = {number: child.node for (number, _), child in zip(numbers, children, strict=True)}
        if len(found) < len(children) or len({pid for _, pid in numbers}) < len(children):
            raise RuntimeError(f"of {len(children)} children only {len(found)} are different")
        return found

    async def stop(self) -> None:
        """Stop them."""
        await self.sup.stop()


def _handle(name: str) -> Any:
    return ray.get_actor(name, namespace="supervisors")


async def _who(handle: Any) -> tuple[int, int]:
    who: tuple[int, int] = await handle.who.remote()
    return who


class RaysOwn:
    """Actors that Ray restarts, with calls that it repeats."""

    def __init__(self, nodes: Nodes, children: int) -> None:
        self._nodes, self._children = nodes, children

    async def start(self) -> None:
        """All of them, a third on each node."""
        cls: Any = ray.remote(Member)  # an actor class has no static type
        room = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> Any:
            async with room:
                where = NodeAffinitySchedulingStrategy(self._nodes.ids[number % NODES], soft=True)
                options = {"max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": where}
                handle = cls.options(**LEAST, **options).remote(number)
                await _who(handle)
                return handle

        self._handles = await asyncio.gather(*map(one, range(self._children)))

    async def lose(self, node_id: str) -> tuple[list[float], list[float], float]:
        """Kill the node; when all actors that were there have answered."""
        lost = [handle for number, handle in enumerate(self._handles) if self._nodes.ids[number % NODES] == node_id]
        began = time.monotonic()
        self._nodes.kill(node_id)

        await asyncio.gather(*map(_who, lost))
        return [], [], time.monotonic() - began

    async def where(self) -> dict[int, str]:
        """Its node is not asked for."""
        return dict(enumerate(self._nodes.ids[number % NODES] for number in range(self._children)))

    async def stop(self) -> None:
        """Kill them for good."""
        for handle in self._handles:
            ray.kill(handle)


async def measure(kind: Supervised | RaysOwn, nodes: Nodes) -> Loss:
    """Start them all, lose the last node, wait."""
    began = time.monotonic()
    await kind.start()
    setup_s, pss, idle = time.monotonic() - began, nodes.pss_bytes(), await idle_cores()
    before = Counter((await kind.where()).values())
    report.say(f"up after {setup_s:.0f} s: {pss / 1e9:.1f} GB, {idle} cores busy, {sorted(before.values())}")
    lost = sum(node == nodes.ids[-1] for node in (await kind.where()).values())
    exits, restarts, answered = await kind.lose(nodes.ids[-1])
    after = tuple(sorted(Counter((await kind.where()).values()).values())) if isinstance(kind, Supervised) else ()
    told = (min(exits), max(exits)) if exits else ()
    await kind.stop()
    quantiles = (restarts[0], restarts[len(restarts) // 2], restarts[-1]) if restarts else ()
    return Loss(setup_s, lost, told, quantiles, answered, after, pss, idle)


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=200)
    parser.add_argument("--spares", type=int, default=102, help="half as many as children: two thirds outlive a node")
    parser.add_argument("--only", nargs="+", choices=("ours", "ray"), default=("ours", "ray"))
    parser.add_argument("--json", type=Path, default=None, help="where the JSON goes instead of benchmarks/results/")
    chosen = parser.parse_args()
    facts, console, losses = machine.describe(), Console(width=130), {}
    for kind in chosen.only:
        with own_nodes() as nodes:
            ours = Supervised(nodes, chosen.children, chosen.spares)
            who = ours if kind == "ours" else RaysOwn(nodes, chosen.children)
            losses[kind] = asyncio.run(asyncio.wait_for(measure(who, nodes), WAIT_S))
    console.print(_table(chosen, losses))
    console.print(machine.as_line(facts))
    result = {"benchmark": "node_loss", "machine": facts} | {kind: asdict(loss) for kind, loss in losses.items()}
    report.say(f"written: {report.write_json('node_loss', result, chosen.json)}")


def _table(chosen: argparse.Namespace, losses: dict[str, Loss]) -> Table:
    table = Table(
        title=f"{chosen.children} children on {NODES} nodes, one of which gets SIGKILL; {chosen.spares} spares"
    )
    for heading in (
        "",
        "lost",
        "told from s",
        "to s",
        "restarted: first s",
        "half s",
        "all s",
        "all answer s",
        "nodes after",
        "GB",
        "cores",
    ):
        table.add_column(heading, justify="right")
    for kind, loss in losses.items():
        told = [f"{at:.2f}" for at in loss.exits_s] or ["-", "-"]
        times = [*([f"{at:.2f}" for at in loss.restarted_s] or ["-"] * 3), f"{loss.answered_s:.2f}"]
        where = " + ".join(map(str, loss.nodes)) or "-"
        table.add_row(kind, str(loss.lost), *told, *times, where, f"{loss.pss_bytes / 1e9:.1f}", f"{loss.idle_cores}")
    return table


if __name__ == "__main__":
    main()
