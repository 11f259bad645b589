"""A real `dspex serve` in a process of its own. Imports nothing from the product: it is what an operator would do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from benchmarks.ports import free_port

Json = dict[str, Any]

READY_S = 120.0
POLL_S = 0.1


class Instance:
    """One home and port; may be started again and again."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def key(self) -> str:
        """The admin key."""
        return (self.home / "api-key").read_text().strip()

    def start(self) -> None:
        """Start and wait until it says that it is ready: an instance that was killed may still answer for a moment."""
        own = {"DSPEX_HOME": str(self.home), "DSPEX_PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        said = self.home.parent / "serve.out"
        before = said.stat().st_size if said.exists() else 0
        with said.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dspex_actors.cli.main", "serve"],
                env={**os.environ, **own, **self._settings}, stdout=out, stderr=out,
            )  # fmt: skip
        deadline = time.monotonic() + READY_S
        while b"is ready at" not in said.read_bytes()[before:]:
            assert self._process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            self._wait()
        assert self.is_ready()

    def stop(self) -> int:
        """SIGTERM, and wait for the end; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def kill(self) -> None:
        """SIGKILL the serving process alone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def processes(self, part: str = "") -> list[psutil.Process]:
        """What this home's instance runs beside the serving process itself; those with `part` in their command line."""
        marker = json.loads((self.home / "instance").read_text())["id"]
        ours = [each for each in psutil.process_iter() if _environ(each).get("DSPEX_INSTANCE", "").startswith(marker)]
        return [each for each in ours if part in _command(each)]

    def kill_everything(self) -> None:
        """SIGKILL to the serving process and all that it started, at once."""
        assert self._process is not None
        self._process.kill()
        for process in (left := self.processes()):
            process.kill()
        self._process.wait(10)
        _, alive = psutil.wait_procs(left, 10)
        assert not alive

    def is_ready(self) -> bool:
        """Whether /readyz says 200."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def call(self, method: str, path: str, body: Json | None = None, **headers: str) -> tuple[int, Json]:
        """One request with the admin key; status and document."""
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        request.add_header("Authorization", f"Bearer {self.key}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, data, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def nodes(self, kind: str, status: str = "ready") -> list[Json]:
        """The nodes of the tree of that kind and status."""
        code, tree = self.call("GET", "/v1/tree")
        assert code == 200, tree
        return [node for node in _walk(tree) if node["kind"] == kind and node["status"] == status]

    def wait_nodes(self, kind: str, deadline_s: float = 60.0) -> list[Json]:
        """Those nodes, as soon as there is one."""
        deadline = time.monotonic() + deadline_s
        while not (found := self.nodes(kind)):
            assert time.monotonic() < deadline, f"no {kind} became ready"
            self._wait()
        return found

    def _wait(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            return


def _environ(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.Error, OSError):
        return ""


def _walk(node: Json) -> list[Json]:
    return [node, *(found for child in node["children"] for found in _walk(child))]
