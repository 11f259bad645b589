"""Children on several nodes: kept apart, brought together by labels, all of them back when a node is lost."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

from supervisors import Child, StartError, Supervisor
from supervisors.ray_nodes import NAMESPACE
from supervisors.ray_watch import living_nodes
from tests.cluster.supervisors.actors import eventually, registered, worker

NODE: dict[str, Any] = {"num_cpus": 2, "object_store_memory": 80_000_000}
CHILDREN = [f"child-{number}" for number in range(12)]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Cluster]:
    """Two nodes, of which the second has a label."""
    folder = tempfile.mkdtemp(prefix="sv", dir="/tmp")
    (Path(folder) / "ray").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_TMPDIR", folder)
        nodes = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
        nodes.add_node(**NODE, labels={"disk": "ssd"})
        ray.init(nodes.address, log_to_driver=False)
        try:
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()  # type: ignore[no-untyped-call]
            shutil.rmtree(folder, ignore_errors=True)


async def spread(sup: Supervisor, nodes: int) -> dict[str, Child] | None:
    """The children by id, once all of them run, on so many nodes."""
    rows = [row.child for row in await sup.which_children()]
    children = {row.id: row for row in rows if isinstance(row, Child)}
    there = {child.node for child in children.values()}
    return children if len(children) == len(CHILDREN) and len(there) == nodes else None


def test_a_child_goes_to_a_node_with_its_labels_and_nowhere_else(cluster: Cluster) -> None:
    """Where no node has them, its start is given up in time."""

    async def story() -> None:
        labelled = {node.id for node in living_nodes() if node.labels.get("disk") == "ssd"}
        sup = await Supervisor.start(children=[worker("a", node_labels={"disk": "ssd"})])
        (row,) = await sup.which_children()
        assert isinstance(row.child, Child)
        assert {row.child.node} == labelled
        with pytest.raises(StartError, match="not started within"):
            await sup.start_child(worker("b", node_labels={"disk": "tape"}, start_timeout_s=1.0))
        await sup.stop()

    asyncio.run(story())


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_twelve_children_keep_apart_and_are_all_back_when_a_node_is_lost(cluster: Cluster, how: str) -> None:
    """Four on each of three nodes, then six on each of two; who was elsewhere runs on; nobody is there twice.

    Ray alone would notice after 14 s that a node is gone, after 65 s that it is frozen.
    """

    async def story() -> None:
        third = cluster.add_node(**NODE)
        children = [worker(id_, anti_affinity=True) for id_ in CHILDREN]
        sup = await Supervisor.start(
            name="spread", detached=True, children=children, max_restarts=12, options={"resources": _on_the_head()}
        )
        before = await eventually(lambda: spread(sup, 3))
        assert set(Counter(child.node for child in before.values()).values()) == {4}
        await agents(third.node_id)
        with lost(third, frozen=how == "frozen"):
            after = await eventually(lambda: _without(sup, third.node_id))
        assert set(Counter(child.node for child in after.values()).values()) == {6}
        assert all(after[id_] == child for id_, child in before.items() if child.node != third.node_id)
        assert registered("spread") == ["", *sorted(f"/{id_}" for id_ in CHILDREN)]
        await sup.stop()
        cluster.remove_node(third, allow_graceful=False)

    asyncio.run(story())


async def agents(node_id: str) -> None:
    """Wait until the supervisor's watch has heard that node: it has an agent then, with somebody connected."""

    async def listening() -> bool:
        try:
            agent = ray.get_actor(f"agent:{node_id}", namespace=NAMESPACE)
        except ValueError:
            return False
        return bool(await agent.__ray_call__.remote(_listeners))

    await eventually(listening)


def _listeners(agent: Any) -> int:
    return len(agent._writers)


@contextmanager
def lost(node: Any, *, frozen: bool) -> Iterator[None]:
    """The node's processes are stopped, and continued afterwards; or its raylet is killed."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    family = [raylet, *raylet.children(recursive=True)]
    if not frozen:
        raylet.kill()
        yield
        return
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _on_the_head() -> dict[str, float]:
    return {"node:__internal_head__": 0.001}


async def _without(sup: Supervisor, lost: str) -> dict[str, Child] | None:
    found = await spread(sup, 2)
    return found if found and all(child.node != lost for child in found.values()) else None
