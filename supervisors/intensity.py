"""The intensity window: how many restarts a supervisor may make in how long (OTP's `add_restart`)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


def add_restart(stamps: Sequence[float], now: float, max_seconds: float) -> list[float]:
    """The stamps at or after `now - max_seconds`, and `now`; they come in order.

    >>> add_restart([1.0, 2.0, 3.0], now=7.0, max_seconds=5.0)
    [2.0, 3.0, 7.0]
    """
    return [*stamps[bisect_left(stamps, now - max_seconds) :], now]


def exceeded(stamps: Sequence[float], max_restarts: int) -> bool:
    """Whether these are more restarts than allowed; with 0 allowed the first one is too many."""
    return len(stamps) > max_restarts
