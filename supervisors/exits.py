"""Why a process ended, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ExitKind = Literal["normal", "shutdown", "killed", "crash", "node_lost", "init_failed", "noproc", "noconnection"]


@dataclass(frozen=True, slots=True)
class Exit:
    """An exit reason.

    Args:
        kind: `normal` (it left by itself), `shutdown` (it was asked to), `killed` (SIGKILL or a hard exit),
            `crash` (it exited with an error), `node_lost`, `init_failed` (it never came up), `noproc` (it was gone
            before anybody looked) or `noconnection` (its node cannot be reached; it may live).
        detail: What is known beyond that, for people to read.
    """

    kind: ExitKind
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


NORMAL = Exit("normal")
SHUTDOWN = Exit("shutdown")
KILLED = Exit("killed")
