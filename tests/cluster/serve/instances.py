"""A real `dspex serve` in a process of its own, and what the system knows about it. Imports nothing of the product."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

START = """
import sys
from dspex_actors.cli.serve import run_serve
from dspex_actors.config import Settings
from benchmarks.ports import free_port
sys.exit(run_serve(Settings(), app=sys.argv[1]))
"""
HERE = Path(__file__).parent
READY_WITHIN_S, STOPPED_WITHIN_S = 150.0, 60.0


def wait_until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    """Poll until it holds; an assertion error when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Instance:
    """One start of `dspex serve`; call `end` whatever happened."""

    def __init__(self, home: Path, port: int, sockets: Path, app: str = "tiny_app") -> None:
        self.home, self.port = home, port
        self._sockets = sockets
        self.output = home.with_suffix(".out")
        environment = os.environ | {"DSPEX_HOME": str(home), "DSPEX_PORT": str(port), "TMPDIR": str(sockets)}
        with self.output.open("w") as out:
            self.driver = subprocess.Popen(
                [sys.executable, "-c", START, app], cwd=HERE, env=environment, stdout=out, stderr=out
            )

    def wait_ready(self) -> Instance:
        """Until it says so."""
        wait_until(lambda: "is ready at" in self.said() or self.driver.poll() is not None, READY_WITHIN_S, self.said())
        assert self.driver.poll() is None, self.said()
        return self

    def said(self) -> str:
        """All that it printed so far."""
        return self.output.read_text()

    def get(self, path: str) -> int:
        """The status of a GET without a key."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def run_folders(self) -> list[Path]:
        """The folders for sockets of all instances of this test."""
        return list(self._sockets.glob("dspex-*"))

    def processes(self) -> list[psutil.Process]:
        """Every process with this home's marker, of whichever start; the driver marks its children only."""
        marker = json.loads((self.home / "instance").read_text())["id"]
        return [process for process in psutil.process_iter() if _marker(process).partition(":")[0] == marker]

    def process(self, part: str) -> psutil.Process:
        """The one whose command line contains `part`."""
        (found,) = [process for process in self.processes() if part in " ".join(process.cmdline())]
        return found

    def wait_processes(self, number: int) -> None:
        """Until that many of its processes run."""
        wait_until((self.home / "instance").exists, 60, self.said())
        wait_until(lambda: len(self.processes()) >= number or self.driver.poll() is not None, 60, self.said())
        assert self.driver.poll() is None, self.said()

    def kill_everything(self) -> None:
        """SIGKILL to the driver and all the rest, at once."""
        for process in [psutil.Process(self.driver.pid), *self.processes()]:
            process.kill()
        self.driver.wait(10)
        wait_until(lambda: not self.processes(), 10, "all are gone")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self.driver.send_signal(number)
        return self.driver.wait(STOPPED_WITHIN_S)

    def end(self) -> None:
        """Leave nothing of it, however it went."""
        self.driver.kill()
        self.driver.wait(10)
        for process in self.processes() if (self.home / "instance").exists() else []:
            process.kill()


def _marker(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("DSPEX_INSTANCE", ""))
    except (psutil.Error, OSError):
        return ""


def listeners(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    """Address and port of everything that they listen on over TCP; those that ended meanwhile listen on nothing."""
    found = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    found.add((connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port))
    return found
