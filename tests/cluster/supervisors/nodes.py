"""Several Ray nodes on this machine, of which a test may add one and lose it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

NODE: dict[str, Any] = {"num_cpus": 2, "object_store_memory": 80_000_000}


class LocalNodes:
    """A cluster of so many nodes; the first one is the head."""

    def __init__(self, size: int) -> None:
        self._cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
        self.address: str = self._cluster.address
        for _ in range(size - 1):
            self._cluster.add_node(**NODE)
        self.ids: list[str] = [node.node_id for node in self._cluster.list_all_nodes()]  # type: ignore[no-untyped-call]

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Any]:
        """One more node, which is gone afterwards, whatever has become of it."""
        node = self._cluster.add_node(**NODE)
        try:
            yield node
        finally:
            self._cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        """End all of it."""
        self._cluster.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def connected_nodes(size: int) -> Iterator[LocalNodes]:
    """A cluster in a short folder of its own, to which this process is connected."""
    folder = tempfile.mkdtemp(prefix="sv", dir="/tmp")
    (Path(folder) / "ray").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_TMPDIR", folder)
        nodes = LocalNodes(size)
        ray.init(address=nodes.address, log_to_driver=False)
        try:
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
