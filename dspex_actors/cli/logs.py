"""The logs of an instance: a folder for each start, the newest few kept."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

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
def own_terminal(log: Path) -> Iterator[TextIO]:
    """Standard output for us alone, line by line; whatever else this process writes there or to stderr goes to `log`.

    Ray and Serve write to both streams, from C++ too.
    """
    sys.stdout.flush()
    kept = [os.dup(number) for number in (1, 2)]
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE)
    try:
        for number in (1, 2):
            os.dup2(target, number)
        with os.fdopen(os.dup(kept[0]), "w", buffering=1) as terminal:
            yield terminal
    finally:
        sys.stdout.flush()
        for number, original in zip((1, 2), kept, strict=True):
            os.dup2(original, number)
        for number in (target, *kept):
            os.close(number)
