"""One run of an instance: start it, watch it, stop it, and leave nothing behind on any way out."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from dspex_actors.cli.background import Background
from dspex_actors.cli.banner import banner
from dspex_actors.cli.first_key import ensure_admin_key
from dspex_actors.cli.progress import Progress
from dspex_actors.cli.stopping import Interrupted, Stopping
from dspex_actors.cli.sweep import clear_own, remove_folder
from dspex_actors.clock import SystemClock
from dspex_actors.config import Settings
from dspex_actors.errors import DspexError, Internal
from dspex_actors.home import Home, Instance
from dspex_actors.sessions.confinement import check_folder
from dspex_actors.store import open_store

if TYPE_CHECKING:
    from ray.serve import Application

    from dspex_actors.cli.cluster import Cluster

logger = logging.getLogger(__name__)

READY_WITHIN_S = 120.0
STOP_WITHIN_S = 45.0
_DRAIN_WITHIN_S = 33.0
_WATCH_S = 0.25
_POLL_S = 0.05


class AppModule(Protocol):
    """The module that composes the application: what `serve_app` gives."""

    app: Application

    def start_tree(self, settings: Settings) -> None:
        """Start the supervision tree inside the connected Ray; blocks; once is as good as twice."""
        ...

    def drain(self, settings: Settings, timeout_s: float) -> None:
        """Refuse new work and wait for what runs; blocks."""
        ...

    def stop_tree(self, settings: Settings) -> None:
        """End the tree; blocks."""
        ...


class InstanceRun:
    """Call `run` once. However it ends, no process, port or socket of the instance outlives it."""

    def __init__(
        self,
        settings: Settings,
        home: Home,
        instance: Instance,
        logs: Path,
        progress: Progress,
        stopping: Stopping,
        app: str,
    ) -> None:
        self._settings, self._home, self._instance = settings, home, instance
        self._logs, self._progress, self._stopping = logs, progress, stopping
        self._app_name = app
        self._app: AppModule
        self._cluster: Cluster

    def run(self) -> int:
        """Start, serve, stop; gives the exit code."""
        try:
            self._start()
            self._watch()
            return self._stop()
        except Interrupted:
            self._progress.say("Stopped before it was ready.")
        except DspexError as error:
            self._progress.say(f"dspex serve: {error.detail}")
        except Exception as error:
            logger.exception("dspex serve broke")
            self._progress.say(f"dspex serve: {type(error).__name__}. The logs say why: {self._logs}")
        finally:
            self._stopping.starting = False
            self._leave_nothing()
        return 1

    # Start -----------------------------------------------------------------------------------------------------
    def _start(self) -> None:
        check_folder(self._settings)
        with self._progress.step("open the store"):
            secret = self._first_key()
        with self._progress.step("start Ray"):
            self._start_ray()
        tree = Background(lambda: self._app.start_tree(self._settings))
        front = Background(lambda: self._cluster.deploy(self._app.app, self._settings.host, self._settings.port))
        with self._progress.step("start the HTTP front and the supervision tree"):
            self._wait(lambda: all([front.done(_POLL_S), tree.done(_POLL_S)]), "start")
        with self._progress.step("wait until it is ready"):
            self._wait(self._is_ready, "become ready")
        self._stopping.starting = False
        ready_s = self._progress.elapsed_s
        self._progress.say(banner(self._settings, secret, self._home.key_file, self._logs, ready_s))

    def _first_key(self) -> str:
        store = open_store(self._settings.database_url)
        try:
            return ensure_admin_key(self._settings, self._home, store, SystemClock())
        finally:
            store.close()

    def _start_ray(self) -> None:
        from dspex_actors.cli import cluster

        settings = self._settings
        actors = settings.hosts + settings.standby + settings.dedicated_limit + settings.replicas
        self._cluster = cluster.Cluster(settings.run_dir, self._logs, actors)
        self._stopping.listen()
        self._app = cast("AppModule", importlib.import_module(self._app_name))

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while not condition():
            self._check_ray()
            if time.monotonic() > deadline:
                msg = f"It did not {what} within {READY_WITHIN_S:.0f} s. The logs say more: {self._logs}"
                raise Internal(msg)
            self._stopping.asked.wait(_POLL_S)

    def _is_ready(self) -> bool:
        connection = HTTPConnection(self._settings.host, self._settings.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    # Serve -----------------------------------------------------------------------------------------------------
    def _watch(self) -> None:
        while not self._stopping.asked.wait(_WATCH_S):
            self._check_ray()

    def _check_ray(self) -> None:
        if dead := self._cluster.dead():
            parts = " and ".join(dead)
            raise Internal(f"Ray's {parts} died, so the instance ended; start it again. Its logs: {self._logs}")

    # Stop ------------------------------------------------------------------------------------------------------
    def _stop(self) -> int:
        self._progress.say("Stopping: no new work, what runs may finish. Ctrl-C again stops at once.")
        deadline = time.monotonic() + STOP_WITHIN_S
        stop = Background(self._stop_gently)
        while not stop.done(_POLL_S):
            if self._stopping.now.is_set() or time.monotonic() > deadline - 3:
                raise Internal("Stopped at once: what still ran was cut off.")
        self._progress.say("Stopped.")
        return 0

    def _stop_gently(self) -> None:
        with self._progress.step("finish what runs"):
            _attempt(lambda: self._app.drain(self._settings, _DRAIN_WITHIN_S))
        with self._progress.step("stop the HTTP front, the tree and Ray"):
            _attempt(self._cluster.stop_serving)
            _attempt(lambda: self._app.stop_tree(self._settings))
            _attempt(self._cluster.stop)

    def _leave_nothing(self) -> None:
        clear_own(self._instance, grace_s=0)
        remove_folder(self._settings.run_dir)


def _attempt(part: Callable[[], None]) -> None:
    """One part of a stop: when it fails the next ones are still due, and what it left is swept at the end."""
    try:
        part()
    except Exception:
        logger.exception("a part of the stop failed")
