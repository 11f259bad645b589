"""Time as a port, so that no test sleeps and no decision reads a clock that it was not given."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now_us(self) -> int:
        """Wall-clock time for records: integer microseconds since the epoch, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back, for waits and deadlines inside one process."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        """Wall-clock time, integer microseconds UTC."""
        return time.time_ns() // 1_000

    def monotonic_s(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()


class ManualClock:
    """A clock that a test moves by hand; both of its faces advance together."""

    def __init__(self, start_us: int = 1_700_000_000_000_000) -> None:
        self._us = start_us

    def advance(self, seconds: float) -> None:
        """Move time forward."""
        self._us += round(seconds * 1_000_000)

    def now_us(self) -> int:
        """Wall-clock time, integer microseconds UTC."""
        return self._us

    def monotonic_s(self) -> float:
        """Monotonic seconds."""
        return self._us / 1_000_000
