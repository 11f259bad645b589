"""What a dedicated session's host may take of the machine, and who sees to it.

Memory is watched from inside, twenty times a second: a host that has taken too much ends, as if it had been killed.
Processors are limited by affinity, in whole ones. Where an operator has delegated a cgroup v2 folder, the kernel holds
both limits exactly.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
from collections.abc import Callable, Collection
from pathlib import Path

import psutil

from dspex_actors.config import Settings
from dspex_actors.errors import NoCapacity
from dspex_actors.resources.session import Guest

log = logging.getLogger(__name__)

WATCH_S = 0.05
PERIOD_US = 100_000
EXIT_CODE = 77
"""Of a host that has taken more memory than it may."""


def confine(name: str, guest: Guest, settings: Settings) -> None:
    """Hold this process to the session's limits, or to the server's where it has none, for as long as it lives.

    Raises:
        NoCapacity: The cgroup folder cannot be used.
    """
    memory_mb = guest.memory_mb if guest.memory_mb is not None else settings.dedicated_memory_mb
    cpus = guest.cpus if guest.cpus is not None else settings.dedicated_cpus
    if settings.dedicated_cgroup is not None and (memory_mb is not None or cpus is not None):
        enter_group(settings.dedicated_cgroup, name.rpartition("#")[2], memory_mb, cpus, os.getpid())
    elif cpus is not None:
        pin(chosen(sorted(os.sched_getaffinity(0)), math.ceil(cpus), os.getpid()))
    if memory_mb is not None:
        watch_memory(own_bytes, own_bytes() + memory_mb * 1_000_000, _end)


def chosen(processors: list[int], count: int, seed: int) -> list[int]:
    """So many of these processors, others for other seeds.

    >>> chosen([0, 1, 2, 3], 2, 3)
    [3, 0]
    """
    first = seed % len(processors)
    return (processors[first:] + processors[:first])[:count]


def pin(processors: Collection[int]) -> None:
    """Let every thread of this process run there alone; threads that come later inherit it."""
    for thread in psutil.Process().threads():
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(thread.id, processors)


def enter_group(folder: Path, name: str, memory_mb: int | None, cpus: float | None, pid: int) -> None:
    """Put a process into a cgroup of its own with these limits; those that hosts before it left empty are removed.

    Raises:
        NoCapacity: It cannot be made.
    """
    for old in folder.glob("dspex-*"):
        with contextlib.suppress(OSError):  # somebody is in it
            old.rmdir()
    group = folder / f"dspex-{name}"
    try:
        group.mkdir()
        if memory_mb is not None:
            (group / "memory.max").write_text(str(memory_mb * 1_000_000))
        if cpus is not None:
            (group / "cpu.max").write_text(f"{round(cpus * PERIOD_US)} {PERIOD_US}")
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        raise NoCapacity(
            f"No limits can be set in the cgroup folder {folder} ({error.strerror}). Delegate it to the user of the "
            "server with the controllers cpu and memory, or unset DSPEX_DEDICATED_CGROUP."
        ) from error


def own_bytes() -> int:
    """Memory of this process, without what it shares with others."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - memory.shared)


def watch_memory(measure: Callable[[], int], limit_bytes: int, end: Callable[[int, int], None]) -> threading.Event:
    """Call `end` with what is taken and the limit, once that is exceeded; setting the event given stops the watch."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(WATCH_S):
            if (taken := measure()) > limit_bytes:
                end(taken, limit_bytes)
                return

    threading.Thread(target=watch, name="memory", daemon=True).start()
    return stop


def _end(taken: int, limit_bytes: int) -> None:
    log.error("this host ends: it has taken %s bytes of memory, and may have %s", taken, limit_bytes)
    logging.shutdown()
    os._exit(EXIT_CODE)
