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
import subprocess
import threading
from collections.abc import Callable, Collection
from pathlib import Path

import psutil

from dspex_actors.config import Settings
from dspex_actors.errors import InvalidRequest, NoCapacity
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
        measure = own_memory()
        watch_memory(measure, measure() + memory_mb * 1_000_000, _end)


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
        raise NoCapacity(unusable(folder, str(error.strerror))) from error


def check_folder(settings: Settings) -> None:
    """See whether hosts will be able to limit themselves in the cgroup folder, where there is one.

    Raises:
        InvalidRequest: They will not.
    """
    if (folder := settings.dedicated_cgroup) is None:
        return
    trial = folder / f"dspex-trial-{os.getpid()}"
    try:
        trial.mkdir()
        try:
            missing = [name for name in ("memory.max", "cpu.max", "cgroup.procs") if not (trial / name).exists()]
            if not missing:
                _try_to_enter(trial)
        finally:
            trial.rmdir()
    except OSError as error:
        raise InvalidRequest(unusable(folder, str(error.strerror))) from error
    if missing:
        raise InvalidRequest(unusable(folder, f"groups in it have no {' and no '.join(missing)}"))


def _try_to_enter(group: Path) -> None:
    """With a process that does nothing: the kernel also asks who may move processes out of where this one is."""
    with subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE) as process:
        (group / "cgroup.procs").write_text(str(process.pid))


def unusable(folder: Path, why: str) -> str:
    """What to do about a cgroup folder."""
    return (
        f"No limits can be set in the cgroup folder {folder} ({why}). Delegate it to the user of the "
        "server with the controllers cpu and memory, or unset DSPEX_DEDICATED_CGROUP."
    )


def own_memory() -> Callable[[], int]:
    """Tells how many bytes of memory this process has, without what it shares with others; it opens no more files."""
    statm, page_bytes = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC), os.sysconf("SC_PAGE_SIZE")

    def measure() -> int:
        _, resident, shared, *_ = os.pread(statm, 256, 0).split()
        return (int(resident) - int(shared)) * page_bytes

    return measure


def watch_memory(
    measure: Callable[[], int], limit_bytes: int, end: Callable[[int | None, int], None]
) -> threading.Event:
    """Call `end` with what is taken and the limit, once that is exceeded, or with None if that cannot be told any more;
    setting the event given stops the watch."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(WATCH_S):
            try:
                taken = measure()
            except Exception:  # what is not watched has no limit, so it may not go on
                end(None, limit_bytes)
                return
            if taken > limit_bytes:
                end(taken, limit_bytes)
                return

    threading.Thread(target=watch, name="memory", daemon=True).start()
    return stop


def _end(taken: int | None, limit_bytes: int) -> None:
    known = "an unknown number of" if taken is None else taken
    log.error("this host ends: it has taken %s bytes of memory, and may have %s", known, limit_bytes)
    logging.shutdown()
    os._exit(EXIT_CODE)
