"""The logs of an instance: a folder for each start, the newest few kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dspex_actors.cli.home import PRIVATE, Instance

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


@contextmanager
def stderr_to(file: Path) -> Iterator[None]:
    """Send this process's standard error to a file: Ray writes its own chatter there, from C++ too."""
    kept = os.dup(2)
    target = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE)
    os.dup2(target, 2)
    os.close(target)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
