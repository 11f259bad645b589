"""`dspex serve`: one instance from its start to its end.

Reading order: `home` (who may start), `sweep` (what a dead one left), `environment`, `cluster` (Ray and Serve),
`instance_run` (start, serve, stop).
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

from dspex_actors.cli.banner import url_of
from dspex_actors.cli.environment import adopt, instance_environment
from dspex_actors.cli.haproxy import haproxy_binary, write_front
from dspex_actors.cli.instance_run import InstanceRun
from dspex_actors.cli.logs import new_log_folder, take_terminal
from dspex_actors.cli.ports import check_free
from dspex_actors.cli.progress import Progress
from dspex_actors.cli.stopping import Stopping
from dspex_actors.cli.sweep import clear_before, remove_folder
from dspex_actors.config import Settings
from dspex_actors.errors import DspexError, Internal
from dspex_actors.home import Home, Instance, hold_home

FAILED = 1


def run_serve(settings: Settings, *, out: TextIO | None = None, app: str = "serve_app") -> int:
    """Start an instance, serve until Ctrl-C or SIGTERM, stop it. Call it from the main thread, once a process.

    Args:
        settings: The settings.
        out: Where progress goes. When not given: standard output, and from then on what else this process writes to
            its standard streams goes to the log.
        app: The module that has `app`, `start_tree`, `drain` and `stop_tree`.

    Returns:
        The exit code: 0 after a stop that was asked for, 1 when it could not start, broke, or was stopped at once.
        In each case no process, port or socket of this instance is left. When it breaks after Ray was started, the
        process ends here, with 1.
    """
    try:
        with hold_home(settings.home, url_of(settings)) as home:
            code = _run(settings, home, out, app)
        if code and "ray" in sys.modules:
            os._exit(code)  # Ray would take seconds to say goodbye to processes that are dead
        return code
    except DspexError as error:
        Progress(out or sys.stdout).say(f"dspex serve: {error.detail}")
        return FAILED


def _run(settings: Settings, home: Home, out: TextIO | None, app: str) -> int:
    instance = home.next_instance()
    killed = _clear(settings, instance)
    check_free(settings.host, settings.port)
    binary = haproxy_binary()
    adopt(instance_environment(settings, home, instance))
    settings.run_dir.mkdir(mode=0o700)
    write_front(settings.run_dir, binary)
    logs = new_log_folder(settings.home, instance)
    stopping = Stopping()
    progress = Progress(out or take_terminal(logs / "serve.log"))
    with stopping.listening():
        progress.say(f"Starting DSPex Actors from {settings.home}")
        if killed:
            progress.say(f"Ended {killed} processes that an earlier start left.")
        return InstanceRun(settings, home, instance, logs, progress, stopping, app).run()


def _clear(settings: Settings, instance: Instance) -> int:
    try:
        killed = clear_before(instance)
        remove_folder(settings.run_dir)
    except OSError as error:
        msg = f"What an earlier start left cannot be cleared ({error}): remove it by hand, then start again."
        raise Internal(msg) from error
    return killed
