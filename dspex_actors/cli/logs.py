"""The logs of an instance: a folder for each start, the newest few kept."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TextIO

from dspex_actors.home import PRIVATE, Instance

KEPT = 5


def new_log_folder(home: Path, instance: Instance) -> Path:
    """The folder for this start's logs, `logs/<term>`, which `logs/latest` points to; the oldest ones go."""
    logs = home / "logs"
    folder = logs / str(instance.term)
    folder.mkdir(mode=0o700, parents=True)
    older = sorted((path for path in logs.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
    for path in older[:-KEPT]:
        shutil.rmtree(path)
    latest = logs / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(folder.name)
    return folder


def take_terminal(log: Path) -> TextIO:
    """Standard output for us alone, line by line; whatever else this process writes there or to stderr goes to `log`.

    Ray and Serve write to both streams, from C++ too, and to the very end of the process: nothing gives them back.
    """
    sys.stdout.flush()
    terminal = os.fdopen(os.dup(1), "w", buffering=1)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE)
    for number in (1, 2):
        os.dup2(target, number)
    os.close(target)
    return terminal
