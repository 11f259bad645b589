"""Why a process ended, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

ExitKind = Literal["normal", "shutdown", "killed", "crash", "node_lost", "init_failed", "noproc", "noconnection"]

EXIT_KINDS: Final[tuple[ExitKind, ...]] = get_args(ExitKind)


@dataclass(frozen=True, slots=True)
class Exit:
    """An exit reason.

    Args:
        kind: `normal` (it left by itself), `shutdown` (it was asked to), `killed` (SIGKILL or a hard exit),
            `crash` (it exited with an error), `node_lost`, `init_failed` (it never came up), `noproc` (it was gone
            before anybody looked) or `noconnection` (its node cannot be reached; it may live).
        detail: What is known beyond that, for people to read.

    Raises:
        BadSpec: A kind that is not known, or a detail that is no text.
    """

    kind: ExitKind
    detail: str = ""

    def __post_init__(self) -> None:
        if self.kind not in EXIT_KINDS or not isinstance(self.detail, str):
            from supervisors.errors import BadSpec  # errors have exits in them

            kinds = ", ".join(map(repr, EXIT_KINDS))
            raise BadSpec(f"Exit({self.kind!r}, {self.detail!r}) is not accepted; give one of {kinds}, and a text.")

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


NORMAL = Exit("normal")
SHUTDOWN = Exit("shutdown")
KILLED = Exit("killed")
NOT_FOUND = Exit("noproc", "it was gone when its supervisor came back")
