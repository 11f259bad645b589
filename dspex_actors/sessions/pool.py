"""Threads for programs that block: many, made when needed, and never waited for at exit."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Job = Callable[[], None]


class Pool:
    """Daemon threads up to `size`. Unlike the standard library's executor, a hung job does not hold up the exit."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._free = 0

    def submit(self, job: Job) -> None:
        """Run the job in a thread, as soon as one is free. The job must not raise."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
            elif self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._work, name=f"program-{self._threads}", daemon=True).start()
            else:
                self._free -= 1
            self._jobs.put(job)

    def close(self) -> None:
        """Let idle threads end; busy ones end after their job."""
        with self._lock:
            for _ in range(self._threads):
                self._jobs.put(None)
            self._threads = 0

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            with self._lock:
                self._free += 1
