"""What a user says to move a session, or to empty a host."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class MigrateSpec(BaseModel):
    """The host to go to, as `/v1/tree` names it; another one with little to do by default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    host: str | None = None


class DrainSpec(BaseModel):
    """Nothing to say: a body is allowed, and empty."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
