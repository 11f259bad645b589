"""How long a tenant's journals and failed attempts are kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

MAX_DAYS = 36_500


class Retention(BaseModel):
    """What a user says to let the past of a tenant's sessions be removed; null keeps everything.

    `journal_days`: entries of a journal older than that are removed. `journal_turns`: so are those before the last so
    many turns of a session. `failed_days`: failed attempts older than that are removed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    journal_days: float | None = Field(default=None, gt=0, le=MAX_DAYS)
    journal_turns: int | None = Field(default=None, ge=1, lt=2**63)
    failed_days: float | None = Field(default=None, gt=0, le=MAX_DAYS)

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is removed."""
        return self == Retention()

    @property
    def etag(self) -> str:
        """What `If-Match` takes: the same for the same content."""
        return hashlib.blake2b(orjson.dumps(self.model_dump()), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Held:
    """What holds for a tenant; `is_default` where it has none of its own."""

    retention: Retention
    is_default: bool

    def public(self) -> dict[str, Any]:
        """The retention as the API shows it."""
        return {**self.retention.model_dump(), "default": self.is_default}


DAY_US = 24 * 3600 * 1_000_000


def before_us(now_us: int, days: float) -> int:
    """What is older than that is removed."""
    return now_us - round(days * DAY_US)
