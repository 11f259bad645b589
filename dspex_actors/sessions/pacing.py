"""When a session's turns follow each other without a pause, and others have turns too: a moment's rest between two.

A session runs one turn at a time, but one that always has the next one waiting would keep the interpreter busy alone:
each step of everybody else's turns would wait for it.
"""

from __future__ import annotations

REST_S = 0.002
BESIDE_S = 0.05
"""Who has started a turn so long ago at most counts as having turns too."""


class Pace:
    """Knows which sessions have started turns lately."""

    def __init__(self) -> None:
        self._latest = ""
        self._latest_s = self._other_s = float("-inf")

    def rest_s(self, uid: str, waited: bool, now_s: float) -> float:
        """A turn of that session is about to start: how long it rests before. `waited`: for the one before it."""
        if uid != self._latest:
            self._other_s, self._latest = self._latest_s, uid
        self._latest_s = now_s
        return REST_S if waited and now_s - self._other_s < BESIDE_S else 0.0
