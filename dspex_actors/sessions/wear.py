"""What wears a host out, so that another one takes its place before anybody notices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class WearLimits:
    """When a host is worn out; None where that is never so.

    Attributes:
        rss_bytes: Memory of its own that the process has (what it shares with others does not count).
        turns: Turns that it has run.
        age_s: Seconds since it began.
        stopped: Programs that had to be stopped by force: what they held they may still hold.
        hanging: Threads in code that cannot be stopped.
    """

    rss_bytes: int | None = None
    turns: int | None = None
    age_s: float | None = None
    stopped: int = 16
    hanging: int = 64


def own_bytes() -> int:
    """The memory that this process has for itself."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - memory.shared)


class Wear:
    """Counts. Any thread may say what happened; who asks gets the first reason there is."""

    def __init__(
        self, limits: WearLimits, now_s: Callable[[], float], rss_bytes: Callable[[], int] = own_bytes
    ) -> None:
        self._limits, self._now_s, self._rss_bytes = limits, now_s, rss_bytes
        self._began_s = now_s()
        self._turns = self._stopped = 0
        self._hanging: Callable[[], int] = lambda: 0
        self._broken: str | None = None

    def watch_hanging(self, count: Callable[[], int]) -> None:
        """Who knows how many threads hang."""
        self._hanging = count

    def turn(self) -> None:
        """A turn was run."""
        self._turns += 1

    def stopped(self) -> None:
        """A program was stopped by force."""
        self._stopped += 1

    def broken(self, why: str) -> None:
        """Something is not as it should be, and stays so."""
        self._broken = self._broken or why

    def reason(self) -> str | None:
        """Why the host should be replaced, if it should."""
        limits = self._limits
        checks = (
            ("memory", self._rss_bytes, limits.rss_bytes),
            ("turns", lambda: self._turns, limits.turns),
            ("age", lambda: self._now_s() - self._began_s, limits.age_s),
            ("programs stopped", lambda: self._stopped, limits.stopped),
            ("threads that hang", self._hanging, limits.hanging),
        )
        if self._broken is not None:
            return self._broken
        for what, measure, limit in checks:
            if limit is not None and (found := measure()) >= limit:
                return f"{what}: {found:.0f} of {limit:.0f}"
        return None
