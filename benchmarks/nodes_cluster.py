"""Ray nodes on this machine for one instance, which come back as with an autoscaler.

Import it where `dspex_actors.cli.cluster` may be imported: when the environment is set.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from ray._private.parameter import RayParams

from dspex_actors.cli.cluster import Cluster, LocalNode

logger = logging.getLogger(__name__)

CONTROL_STORE_AWAY_S = 2.0
_LOOPBACK = "127.0.0.1"
_OBJECT_STORE_BYTES = 80_000_000


class NodesCluster(Cluster):
    """The head, which this process is connected to, and the other nodes.

    Whenever one of these is gone, the next look at `dead` adds another one; it also starts the control store again, on
    what that has kept in files. The head's own loss is the instance's.
    """

    def __init__(self, run_dir: Path, logs: Path, actors: int, *, nodes: int) -> None:
        super().__init__(run_dir, logs, actors)
        self._actors = actors
        self._away_since: float | None = None
        self._others = [self._another() for _ in range(nodes - 1)]

    def dead(self) -> list[str]:
        """What of the head is gone for good."""
        found = super().dead()
        if "gcs_server" in found:
            found.remove("gcs_server")
            self._bring_control_store_back()
        elif not found:
            self._bring_nodes_back()
        return found

    def stop(self) -> None:
        """End all nodes, the head last."""
        for node in self._others:
            _end(node)
        super().stop()

    def _bring_control_store_back(self) -> None:
        self._away_since = self._away_since or time.monotonic()
        if time.monotonic() - self._away_since > CONTROL_STORE_AWAY_S:
            self._away_since = None
            self._node.kill_gcs_server(check_alive=False)  # Ray's own note of it
            self._node.start_gcs_server()  # type: ignore[no-untyped-call]

    def _bring_nodes_back(self) -> None:
        for place, node in enumerate(self._others):
            if any(kind == "raylet" for kind, _ in node.dead_processes()):  # type: ignore[no-untyped-call]
                _end(node)
                logger.warning("a node is gone: another one is added")
                self._others[place] = self._another()

    def _another(self) -> LocalNode:
        return LocalNode(
            RayParams(
                gcs_address=self._node.gcs_address,
                redis_address=self._node.redis_address,
                node_ip_address=_LOOPBACK,
                num_cpus=max(os.cpu_count() or 1, self._actors),
                object_store_memory=_OBJECT_STORE_BYTES,
                min_worker_port=0,
                max_worker_port=0,
                node_manager_port=0,
                dashboard_agent_listen_port=0,
                include_log_monitor=False,  # type: ignore[arg-type]  # annotated as text, used as a truth value
            ),
            head=False,
            shutdown_at_exit=False,
        )


def _end(node: LocalNode) -> None:
    node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
