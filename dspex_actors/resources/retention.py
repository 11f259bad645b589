"""How long a tenant's journals and failed attempts are kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class Seen(NamedTuple):
    """What sweeps have seen of clocks, so that one that is far off removes nothing for its age.

    A clock is believed within a day of the last one that was, and so is the first one of a store. Another one is when
    it has been doubted for a day, sweep after sweep: nobody had swept for long, or somebody had time to read of it.

    Attributes:
        at_us: What the last clock that was believed said; 0: none yet.
        doubted_us: What the first one said that has been doubted since; 0: none.
        last_us: What the last one said that was doubted; 0: none.
    """

    at_us: int = 0
    doubted_us: int = 0
    last_us: int = 0

    def told(self, now_us: int) -> tuple[Seen, bool]:
        """What is known after a clock has said that; and whether it is believed.

        >>> seen, _ = Seen().told(DAY_US)
        >>> seen.told(9 * DAY_US)
        (Seen(at_us=86400000000, doubted_us=777600000000, last_us=777600000000), False)
        >>> seen.told(9 * DAY_US)[0].told(10 * DAY_US)
        (Seen(at_us=864000000000, doubted_us=0, last_us=0), True)
        """
        is_near = abs(now_us - self.at_us) <= DAY_US
        is_the_same = 0 < self.last_us <= now_us <= self.last_us + DAY_US
        if not self.at_us or is_near or (is_the_same and now_us - self.doubted_us >= DAY_US):
            return Seen(now_us), True
        return Seen(self.at_us, self.doubted_us if is_the_same else now_us, now_us), False
