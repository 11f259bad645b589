"""Operations of a system that is one process with one host: a tree of one node, and nowhere to move anything."""

from __future__ import annotations

import os
from typing import Any

from dspex_actors.errors import InvalidRequest
from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.host import Host
from dspex_actors.sessions.placement import Drained, Migrated, choose
from dspex_actors.sessions.planner import HostView

_ALONE = (
    "dx.local() is one process, and a dedicated session needs one of its own: use `dspex serve`, or isolation='shared'"
)


class LocalOperations:
    """See `sessions.operations.Operations`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def tree(self) -> dict[str, Any]:
        """See `Operations`."""
        load = self._host.load()
        return {
            "id": self._host.name, "kind": "host", "pid": os.getpid(), "node": None, "status": "ready", "restarts": 0,
            "last_exit": None, "children": [], "shards": load.shards, "sessions": load.sessions,
            "in_flight": load.in_flight, "rss_bytes": load.rss_bytes,
        }  # fmt: skip

    async def migrate(self, record: SessionRecord, host: str | None, patience_s: float) -> Migrated:
        """See `Operations`."""
        name = self._host.name
        return Migrated(name, choose(host, name, [HostView(name)]), 0.0)

    def check_isolation(self, isolation: str) -> None:
        """See `Operations`."""
        check_isolation(isolation)

    async def house(self, record: SessionRecord, patience_s: float) -> None:
        """See `Operations`."""
        check_isolation(record.isolation)

    async def vacate(self, record: SessionRecord) -> None:
        """See `Operations`: there is nothing to end."""

    async def drain_host(self, host: str, timeout_s: float) -> Drained:
        """See `Operations`."""
        name = choose(host, "", [HostView(self._host.name)])
        return Drained(choose(None, name, [HostView(name)]), 0, 0, True)  # which says that there is no other


def check_isolation(isolation: str) -> None:
    """Raises InvalidRequest for what one process cannot give."""
    if isolation == "dedicated":
        raise InvalidRequest(_ALONE + ".", errors=[{"loc": ["isolation"], "msg": _ALONE, "type": "isolation"}])
