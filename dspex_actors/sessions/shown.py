"""A session as the API shows it."""

from __future__ import annotations

from typing import Any

from dspex_actors.ids import rfc3339
from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.placement import Place


def public_session(record: SessionRecord, place: Place, status: str, restarts: int) -> dict[str, Any]:
    """What is recorded of it, with where it is served and what its host says of it."""
    return {
        "id": record.id,
        "program": record.program,
        "version": record.version,
        "lm": record.lm,
        "status": status,
        "turns": record.turns,
        "removed_turns": record.removed_turns,
        "host": place.host,
        "node": place.node,
        "shard": record.shard,
        "epoch": place.epoch,
        "restarts": restarts,
        "forked_from": None if record.origin_id is None else {"id": record.origin_id, "turn": record.origin_turn},
        "on_busy": record.on_busy,
        "version_policy": record.version_policy,
        "changed": record.changed,
        "isolation": record.isolation,
        "limits": {"memory_mb": record.memory_mb, "cpus": record.cpus},
        "created_at": rfc3339(record.created_at_us),
    }
