"""Find and end the processes of an instance: by the marker in their environment, never by name."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from dspex_actors.home import Instance

MARKER = "DSPEX_INSTANCE"
_POLL_S = 0.02


def processes_of(instance_id: str, terms: Callable[[int], bool]) -> list[psutil.Process]:
    """This user's processes that carry the instance's id and a term that `terms` accepts.

    Neither this process nor its ancestors are among them. A `psutil.Process` is pid and start time together, so a
    number that the system gave to another process since is never signalled.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        term = None if process.pid in own else _term(process, instance_id)
        if term is not None and terms(term):
            found.append(process)
    return found


def _term(process: psutil.Process, instance_id: str) -> int | None:
    try:
        if process.uids().real != os.getuid():
            return None
        marker = process.environ().get(MARKER, "")
    except (psutil.Error, OSError):
        return None
    marked, _, term = marker.partition(":")
    return int(term) if marked == instance_id and term.isdecimal() else None


def kill_all(instance_id: str, terms: Callable[[int], bool], *, timeout_s: float = 10.0) -> int:
    """SIGKILL the instance's processes until none is left; those that they started meanwhile too.

    Returns:
        How many were killed.

    Raises:
        TimeoutError: Some were still there after `timeout_s`; the text names their pids.
    """
    killed: set[psutil.Process] = set()
    deadline = time.monotonic() + timeout_s
    while found := processes_of(instance_id, terms):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {sorted(process.pid for process in found)} cannot be killed")
        for process in found:
            _kill(process)
        killed.update(found)
        psutil.wait_procs(found, timeout=_POLL_S)
    return len(killed)


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.Error:
        return


def clear_before(instance: Instance) -> int:
    """End what earlier starts of this instance left; only for the holder of the home's lock, with a fresh term."""
    return kill_all(instance.id, lambda term: term < instance.term)


def clear_own(instance: Instance, *, grace_s: float) -> int:
    """End what is left of this very start, after `grace_s` for them to go by themselves; returns how many had to."""
    deadline = time.monotonic() + grace_s
    while processes_of(instance.id, lambda term: term == instance.term) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return kill_all(instance.id, lambda term: term == instance.term)


def remove_folder(folder: Path) -> None:
    """Remove a folder of ours with all in it; nothing when there is none.

    Raises:
        OSError: It is not a folder, or not this user's.
    """
    try:
        owner = folder.lstat().st_uid
    except FileNotFoundError:
        return
    if owner != os.getuid() or folder.is_symlink():
        raise PermissionError(f"{folder} is not this user's folder")
    shutil.rmtree(folder)
