"""Passivation: sessions that nobody talks to take little memory, then leave it; the next message wakes them again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from dspex_actors.sessions.activation import Activation

SWEEP_S = 0.25
QUIET_S = 1.0
FOLDS = 100
"""Conversations that are folded in one go at most: each takes some 0.1 ms."""
A_SWEEP = 1_000
"""Sessions that leave in one go at most: what waits for the loop waits a few milliseconds, not for all of them."""


@dataclass(frozen=True, slots=True)
class Room:
    """How long, and how many.

    Attributes:
        idle_s: A session that has had nothing to do for that many seconds leaves memory.
        sessions: When more than that are in memory, those that have been idle longest leave before their time.
    """

    idle_s: float = 900.0
    sessions: int = 10_000


class MemoryRoom:
    """The sessions in memory, in the order of their last use.

    Args:
        loop: Where all of this happens.
        room: How long, and how many.
        let_go: Makes a session leave.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, room: Room, let_go: Callable[[Activation], None]) -> None:
        self.active: OrderedDict[str, Activation] = OrderedDict()
        self._loop, self._room, self._let_go = loop, room, let_go
        self._timer: asyncio.TimerHandle | None = None
        self._talking: dict[str, Activation] = {}

    def used(self, activation: Activation) -> None:
        """Somebody talks to it, now."""
        activation.used_s = self._loop.time()
        self.active.move_to_end(activation.uid)
        self._talking.pop(activation.uid, None)
        self._talking[activation.uid] = activation  # behind the others
        if self._timer is None:
            self._timer = self._loop.call_later(SWEEP_S, self._sweep)

    def close(self) -> None:
        """Nobody leaves any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(SWEEP_S, self._sweep) if self.active else None
        self._fold()
        latest = self._loop.time() - self._room.idle_s
        for _ in range(min(A_SWEEP, len(self.active))):
            oldest = next(iter(self.active.values()))
            if oldest.used_s > latest and len(self.active) <= self._room.sessions:
                return
            if oldest.is_at_rest:
                self._let_go(oldest)
            else:
                self.used(oldest)

    def _fold(self) -> None:
        """Let conversations that have gone quiet take little memory."""
        latest = self._loop.time() - QUIET_S
        for _ in range(min(FOLDS, len(self._talking))):
            uid, quiet = next(iter(self._talking.items()))
            if quiet.used_s > latest:
                return
            del self._talking[uid]
            if self.active.get(uid) is not quiet or quiet.session is None:
                continue
            if quiet.is_at_rest:
                quiet.session.state.history.fold()
            else:
                self._talking[uid] = quiet
