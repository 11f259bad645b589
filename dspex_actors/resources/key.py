"""API keys: kept as hashes, each with a tenant, scopes and perhaps an end."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal

Scope = Literal["admin", "write", "read"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key's row; the secret itself is nowhere."""

    id: str
    sha256: str
    tenant: str
    scopes: tuple[Scope, ...]
    expires_at_us: int | None
    created_at_us: int


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: the key's id, its tenant, and what it may do. `admin` includes `write`, which includes `read`."""

    key_id: str
    tenant: str
    scopes: tuple[Scope, ...]

    def may(self, scope: Scope) -> bool:
        """Whether the key's scopes cover `scope`."""
        order: tuple[Scope, ...] = ("read", "write", "admin")
        return any(order.index(held) >= order.index(scope) for held in self.scopes)


def new_secret() -> str:
    """A fresh key: 32 random bytes, recognisable by its prefix."""
    return "dspex_" + secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """The form in which a key is stored. A random key needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
