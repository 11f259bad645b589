"""Time as a port: the core is given stamps, the shells read them here."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back, for the intensity window."""
        ...

    def now_rfc3339(self) -> str:
        """Wall-clock time for people, RFC 3339 in UTC with `Z`."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic_s(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def now_rfc3339(self) -> str:
        """Wall-clock time, RFC 3339 with `Z`."""
        return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class ManualClock:
    """A clock that a test moves by hand; both of its faces advance together."""

    def __init__(self, start_s: float = 1_700_000_000.0) -> None:
        self._now = start_s

    def advance(self, seconds: float) -> None:
        """Move time forward."""
        self._now += seconds

    def monotonic_s(self) -> float:
        """Monotonic seconds."""
        return self._now

    def now_rfc3339(self) -> str:
        """Wall-clock time, RFC 3339 with `Z`."""
        return datetime.fromtimestamp(self._now, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
