"""The home of an instance: its data folder, who holds it, and how often it was started."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dspex_actors.errors import InUse, InvalidRequest

PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Instance:
    """Which instance this is (`id`, random, kept in the home) and its how manieth start (`term`, only ever rises)."""

    id: str
    term: int

    @property
    def marker(self) -> str:
        """What every process of this start carries as `DSPEX_INSTANCE` in its environment."""
        return f"{self.id}:{self.term}"


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; only this user can read it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "w") as file:
        file.write(text)
    draft.replace(path)


@dataclass(frozen=True, slots=True)
class Home:
    """A home whose lock this process holds: no other `dspex serve` uses it until this one ends, however it ends."""

    path: Path

    @property
    def key_file(self) -> Path:
        """Where the admin key is kept for later starts and for the commands on this machine."""
        return self.path / "api-key"

    def next_instance(self) -> Instance:
        """The instance with a term above every earlier start's; written down before it is returned."""
        file = self.path / "instance"
        before = read_instance(file)
        instance = Instance(before.id, before.term + 1)
        write_private(file, json.dumps({"id": instance.id, "term": instance.term}))
        return instance


def read_instance(file: Path) -> Instance:
    """The instance as its last start wrote it; a new one, of term 0, when there is none.

    Raises:
        InvalidRequest: The file is not what a start writes.
    """
    try:
        kept = json.loads(file.read_text())
        return Instance(str(kept["id"]), int(kept["term"]))
    except FileNotFoundError:
        return Instance(secrets.token_hex(8), 0)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f"{file} is damaged: stop what runs from this home, then remove that file.") from error


@contextmanager
def hold_home(path: Path, address: str) -> Iterator[Home]:
    """Make the folder (readable by this user alone) and hold its lock.

    Args:
        path: The data folder.
        address: Where the instance will answer, for the sentence that refuses a second one.

    Raises:
        InUse: Another process holds the home; the sentence names it.
        InvalidRequest: The folder cannot be made or written to.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = open(os.open(path / "lock", os.O_RDWR | os.O_CREAT, PRIVATE), "r+")  # noqa: SIM115
    except OSError as error:
        msg = f"The home {path} cannot be used ({error.strerror}): set DSPEX_HOME to a folder that you can write to."
        raise InvalidRequest(msg) from error
    with file:
        _lock(file, path)
        _sign(file, {"pid": os.getpid(), "address": address})
        try:
            yield Home(path)
        finally:
            _sign(file, {})


def _lock(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder: dict[str, object] = {}
        with suppress(ValueError):
            holder = json.loads(file.read())
        who = f"pid {holder.get('pid', 'unknown')} at {holder.get('address', 'an unknown address')}"
        msg = f"The home {path} is in use by {who}: stop that one, or set another DSPEX_HOME and DSPEX_PORT."
        raise InUse(msg) from error


def _sign(file: IO[str], holder: dict[str, object]) -> None:
    file.seek(0)
    file.truncate()
    if holder:
        json.dump(holder, file)
    file.flush()
