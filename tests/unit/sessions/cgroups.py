"""A cgroup v2 hierarchy in a plain folder: it has the kernel's files, and takes and refuses what the kernel does."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import psutil
import pytest

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
FILES = {"memory": {"memory.max": "max\n"}, "cpu": {"cpu.max": "max 100000\n"}}
"""What a group has for each controller that its parent hands down, with what they say at first."""


class Cgroups:
    """The folder `root`, whose groups have these controllers, and `elsewhere`, where all processes are at first.

    Args:
        folder: Where the files are.
        patch: Lets paths inside of it behave as in the kernel's file system.
        controllers: What `root` hands down to its groups.
        is_delegated: Whether processes from elsewhere may be moved in.
    """

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, controllers: str = "cpu memory", *, is_delegated: bool = True
    ) -> None:
        self.root, self._is_delegated = folder / "delegated", is_delegated
        self.members: dict[Path, list[int]] = {}
        self._make, self._remove, self._write = Path.mkdir, Path.rmdir, Path.write_text
        self._make(self.root)
        for name, text in {"cgroup.controllers": "cpuset cpu io memory pids\n", "cgroup.procs": ""}.items():
            self._write(self.root / name, text)
        self._write(self.root / "cgroup.subtree_control", f"{controllers}\n")
        patch.setattr(Path, "mkdir", lambda path: self.mkdir(path))
        patch.setattr(Path, "rmdir", lambda path: self.rmdir(path))
        patch.setattr(Path, "write_text", lambda path, text: self.write(path, text))

    def mkdir(self, group: Path) -> None:
        """A group comes with all its files."""
        self._make(group)
        handed = (self.root / "cgroup.subtree_control").read_text().split()
        own = {"cgroup.procs": "", "cgroup.controllers": " ".join(handed) + "\n", "cgroup.subtree_control": "\n"}
        for name, text in own.items() | {file for each in handed for file in FILES.get(each, {}).items()}:
            self._write(group / name, text)
        self.members[group] = []

    def rmdir(self, group: Path) -> None:
        """The files of a group do not keep it, its processes do."""
        if any(map(psutil.pid_exists, self.members.get(group, []))):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        for file in group.iterdir():
            file.unlink()
        self._remove(group)
        self.members.pop(group, None)

    def write(self, path: Path, text: str) -> None:
        """Nobody makes files here, and each takes its own format alone."""
        if not path.exists():
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        if path.name == "cgroup.procs":
            self._move(path.parent, int(text))
        else:
            self._write(path, {"memory.max": _memory, "cpu.max": _cpu}[path.name](text))

    def _move(self, group: Path, pid: int) -> None:
        if not self._is_delegated:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        os.kill(pid, 0)  # there has to be such a process
        for other, pids in self.members.items():
            self.members[other] = [each for each in pids if each != pid]
        self.members[group].append(pid)
        for other, pids in self.members.items():
            self._write(other / "cgroup.procs", "".join(f"{each}\n" for each in pids))


def _memory(text: str) -> str:
    if not re.fullmatch(r"\d+", text):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return f"{int(text) // PAGE_BYTES * PAGE_BYTES}\n"


def _cpu(text: str) -> str:
    found = re.fullmatch(r"(\d+) (\d+)", text)
    if found is None or int(found[1]) < 1000 or not 1000 <= int(found[2]) <= 1_000_000:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return text + "\n"
