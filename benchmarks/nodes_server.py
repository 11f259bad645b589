"""`dspex serve` with several Ray nodes on this machine instead of one: the server of a chaos run with `--nodes`.

Everything else is what `dspex serve` does: home, key, Serve with its HTTP front on the head, tree, stop.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from functools import partial
from unittest.mock import patch

from benchmarks.ours import ours_server
from benchmarks.quiet import QUIET
from benchmarks.server import Server
from dspex_actors.cli import serve
from dspex_actors.cli.instance_run import InstanceRun
from dspex_actors.config import Settings


def nodes_server(nodes: int, env: Mapping[str, str]) -> Server:
    """Such a server, not started.

    Args:
        nodes: How many Ray nodes, the head included.
        env: More settings, as variables.
    """
    server = ours_server(env=env)
    server.arguments = ["-m", "benchmarks.nodes_server", "--nodes", str(nodes)]
    return server


def _run_on(nodes: int) -> type[InstanceRun]:
    class NodesRun(InstanceRun):
        def _start_ray(self) -> None:
            from benchmarks.nodes_cluster import NodesCluster
            from dspex_actors.cli import cluster

            with patch.object(cluster, "Cluster", partial(NodesCluster, nodes=nodes)):
                super()._start_ray()

    return NodesRun


def main() -> int:
    """Serve until SIGTERM; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=3)
    nodes, settings = parser.parse_args().nodes, Settings()
    keeps = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(settings.home / "gcs")}
    os.environ.update(QUIET | keeps)
    with patch.object(serve, "InstanceRun", _run_on(nodes)):
        return serve.run_serve(settings)


if __name__ == "__main__":
    sys.exit(main())
