"""Identities: what names a session, a turn and a body, and which shard a session falls on."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

import orjson
from ulid import ULID

from dspex_actors.errors import InvalidRequest

SHARDS = 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}")


def new_ulid() -> str:
    """A fresh ULID: 26 characters, sortable by creation time."""
    return str(ULID())


def check_name(value: str, where: str) -> str:
    """The value, if it may name a thing (`id`, `name`, `Idempotency-Key`).

    Raises:
        InvalidRequest: It may not; the sentence says what may.
    """
    if _NAME.fullmatch(value):
        return value
    msg = f"{where} takes 1 to 128 letters, digits, '.', '_', '~' or '-', the first a letter or digit"
    raise InvalidRequest(msg + ".", errors=[{"loc": [where], "msg": msg, "type": "name"}])


def shard_of(tenant: str, uid: str) -> int:
    """The shard of a session, 0 to 1023: stored with the session, never computed again."""
    digest = hashlib.blake2b(f"{tenant}/{uid}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % SHARDS


def unit_of_shard(shard: int) -> str:
    """The name of the unit that a lease covers."""
    return f"shard:{shard}"


def unit_of_session(uid: str) -> str:
    """The name of a session's own unit, for one that is not placed with its shard."""
    return f"session:{uid}"


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8: equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def body_hash(kind: str, payload: Any) -> bytes:
    """sha256 over the kind and the canonical payload (32 bytes): what makes two uses of one key 'the same'."""
    return hashlib.sha256(kind.encode() + b"\n" + canonical_json(payload)).digest()


def rfc3339(us: int) -> str:
    """Microseconds since the epoch as RFC 3339 in UTC with `Z`."""
    return datetime.fromtimestamp(us / 1_000_000, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
