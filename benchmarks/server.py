"""A server under test: started as a process of its own, known by a mark, stopped by pid, verified gone."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from benchmarks.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
_MARK = "BENCHMARK_SERVER"
_OWN_SETTINGS = ("DSPEX_", "RAY_", "PYTHON")


class ServerError(RuntimeError):
    """A server did not start; the sentence names its log."""


def stop_on_sigterm() -> None:
    """Let SIGTERM unwind this process, so that the servers below it are stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@dataclass(slots=True)
class Server:
    """A process with a folder of its own; leaving the `with` block stops it and all that it started.

    Every process below it inherits a random mark in its environment. What still carries the mark after the stop is
    killed by pid and named in `left_behind`. A peer stops when its standard input ends (also when this process dies);
    `stop_signal` is for a server that is no peer.
    """

    name: str
    arguments: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready_path: str = "/readyz"
    ready_within_s: float = 120.0
    stop_signal: signal.Signals | None = None
    cwd: Path = ROOT
    port: int = field(default_factory=free_port)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="dxb-")))
    left_behind: list[str] = field(default_factory=list)
    started_in_s: float = 0.0
    _mark: str = field(default_factory=lambda: secrets.token_hex(8))
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / "output.log"

    def __enter__(self) -> Self:
        began = time.monotonic()
        try:
            self._start()
            self._wait_ready()
        except BaseException:
            self._end()
            raise
        self.started_in_s = time.monotonic() - began
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        """Every living process of this server: those with its mark, and their descendants."""
        return [process for process in psutil.process_iter() if self.owns(process)]

    def owns(self, process: psutil.Process) -> bool:
        """Whether this server (or something that it started) started the process."""
        # A process may write its title over its environment: the mark is then its parent's.
        try:
            return process.status() != psutil.STATUS_ZOMBIE and any(map(self._marked, [process, *process.parents()]))
        except psutil.Error:
            return False

    def _marked(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self._mark
        except psutil.Error:
            return False

    def _start(self) -> None:
        filled = [part.format(port=self.port, folder=self.folder) for part in self.arguments]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_SETTINGS)}
        own = {name: value.format(port=self.port, folder=self.folder) for name, value in self.env.items()}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *filled],
                cwd=self.cwd,
                env={**inherited, **own, _MARK: self._mark, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self.ready_within_s
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-2000:]
                raise ServerError(f"{self.name} did not get ready; its log ({self.log}) ends with:\n{tail}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.ready_path}", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        known = set(self.processes())
        process.stdin.close()
        if self.stop_signal is not None and process.poll() is None:
            process.send_signal(self.stop_signal)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._clear(known | set(self.processes()))

    def _clear(self, processes: set[psutil.Process]) -> None:
        _, alive = psutil.wait_procs(processes, timeout=5)
        for leftover in alive:
            with contextlib.suppress(psutil.Error):
                self.left_behind.append(f"{leftover.pid} {' '.join(leftover.cmdline())[:80]}")
                leftover.kill()
        psutil.wait_procs(alive, timeout=5)
