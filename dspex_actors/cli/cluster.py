"""The private Ray of one instance, with Serve on it: all of `dspex serve`'s calls to Ray are made here.

Import it only after the environment is set (`environment.adopt`): Ray reads its variables when it is imported.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import ray
from ray import serve
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray.serve import Application
from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

NAMESPACE = "dspex"
APPLICATION = "dspex"
_OBJECT_STORE_BYTES = 100 * 1024 * 1024
_SPARE_CPUS = 2
_POLL_S = 0.02


class LocalNode(Node):
    """Ray's processes without those that a single private node has no use for.

    `ray.init` starts a dashboard server, an autoscaler and a log forwarder as well: two seconds of both cores, 290 MB,
    and two ports on all interfaces.
    """

    def start_api_server(self, *, include_dashboard: bool | None, raise_on_failure: bool) -> None:
        """Start no dashboard."""


class Cluster:
    """Ray on this machine's loopback for one instance.

    Ray's processes are killed by the kernel when the thread that made this object dies; workers follow their raylet.
    HAProxy does not: the next start's sweep ends it.

    Args:
        run_dir: Short folder for sockets and temporary files; exists.
        logs: Folder for the logs of all processes; exists.
        actors: How many actors that ask for a CPU must find room.
    """

    def __init__(self, run_dir: Path, logs: Path, actors: int) -> None:
        session = run_dir / "ray" / "s"
        session.mkdir(parents=True)
        (session / "logs").symlink_to(logs)
        self._node = LocalNode(
            RayParams(
                node_ip_address="127.0.0.1",
                num_cpus=max(os.cpu_count() or 1, actors + _SPARE_CPUS),
                object_store_memory=_OBJECT_STORE_BYTES,
                temp_dir=str(session.parent),
                session_name=session.name,
                dashboard_agent_listen_port=0,
                include_dashboard=False,
                include_log_monitor=False,  # type: ignore[arg-type]  # annotated as text, used as a truth value
                no_monitor=True,
            ),
            head=True,
            shutdown_at_exit=False,
            ray_init_cluster=True,
        )
        ray.init(address=self._node.address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)

    def deploy(self, app: Application, host: str, port: int) -> None:
        """Start Serve's front and the application at the same time; returns when both run.

        Raises:
            RuntimeError: The application could not be started; the text says why.
        """
        options = {"host": host, "port": port, "location": "HeadOnly"}
        front = threading.Thread(target=serve.start, kwargs={"http_options": options}, daemon=True)
        front.start()
        while front.is_alive() and not _controller_is_known():
            time.sleep(_POLL_S)
        serve.run(app, name=APPLICATION, route_prefix="/")
        front.join()

    def dead(self) -> list[str]:
        """Which of Ray's own processes (`raylet`, `gcs_server`) are gone."""
        return [str(kind) for kind, _ in self._node.dead_processes()]  # type: ignore[no-untyped-call]

    def stop_serving(self) -> None:
        """End Serve: HAProxy, replicas, controller."""
        serve.shutdown()  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """End Ray."""
        ray.shutdown()
        self._node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)


def _controller_is_known() -> bool:
    try:
        ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
    except ValueError:
        return False
    return True
