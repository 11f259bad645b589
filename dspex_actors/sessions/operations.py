"""What an operator asks of the system as a whole, however it runs."""

from __future__ import annotations

from typing import Any, Protocol

from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.placement import Drained, Migrated

Json = dict[str, Any]


class Operations(Protocol):
    """The tree, and moving what is in it. Each call raises `DspexError`s only."""

    async def tree(self) -> Json:
        """The supervision tree."""
        ...

    async def migrate(self, record: SessionRecord, host: str | None, patience_s: float) -> Migrated:
        """Move a session to a host, by default another one with little to do, when its turn has ended. Raises NotFound
        (host), NoCapacity, SessionBusy (its turn has not ended in time)."""
        ...

    def check_isolation(self, isolation: str) -> None:
        """Raises InvalidRequest where no session can be isolated like that."""
        ...

    async def house(self, record: SessionRecord, patience_s: float) -> None:
        """Wait until a new dedicated session has a host of its own. Raises NoCapacity."""
        ...

    async def vacate(self, record: SessionRecord) -> None:
        """A dedicated session was deleted; whoever does not hear of it finds out."""
        ...

    async def drain_host(self, host: str, timeout_s: float) -> Drained:
        """Let a host give away all it has and end; what is left after `timeout_s` goes on leaving. Raises NotFound,
        NoCapacity."""
        ...


def public_migration(session_id: str, moved: Migrated) -> Json:
    """A migration as the API shows it."""
    return {"session": session_id, "from": moved.source, "to": moved.target, "pause_ms": moved.pause_ms}


def public_drain(drained: Drained) -> Json:
    """A drain as the API shows it."""
    status = "drained" if drained.done else "draining"
    return {"host": drained.host, "status": status, "moved": drained.moved, "left": drained.left}
