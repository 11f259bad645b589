"""Attempts whose host was lost: how they are recorded among the failed ones, and what that says of their turn.

A row of code `host_lost` is written before its attempt begins, and taken back or replaced when that has ended in
whatever way. So one that is still there either runs at this moment or ended with its host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from dspex_actors.errors import HostLost, PoisonTurn
from dspex_actors.resources.journal import FailedTurn

ALONE = "alone"
"""A member of the problem: the attempt had its host to itself."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What is recorded of one turn: how many attempts were lost with their hosts, and the one that was alone there."""

    count: int = 0
    alone: FailedTurn | None = None
    poison: FailedTurn | None = None
    """The attempt that was found to be poison."""


def losses_of(attempts: Sequence[FailedTurn]) -> Losses:
    """Read them from the failed attempts of one turn."""
    problems = [(attempt, orjson.loads(attempt.problem)) for attempt in attempts]
    lost = [(attempt, problem) for attempt, problem in problems if problem.get("code") == HostLost.code]
    alone = [attempt for attempt, problem in lost if problem.get(ALONE)]
    poison = [attempt for attempt, problem in problems if problem.get("code") == PoisonTurn.code]
    return Losses(len(lost), next(iter(alone), None), next(iter(poison), None))


def end_of(attempts: Sequence[FailedTurn]) -> FailedTurn | None:
    """How a turn ended, by its failed attempts, oldest first; None while that is open."""
    newest = max(attempts, key=lambda attempt: attempt.attempt, default=None)
    return None if newest is None or _is_lost(newest) else newest


def ended(attempts: Sequence[FailedTurn]) -> list[FailedTurn]:
    """Those that have ended, in the order given: the newest one of a turn may still run."""
    newest = {attempt.turn_id: 0 for attempt in attempts}
    for attempt in attempts:
        newest[attempt.turn_id] = max(newest[attempt.turn_id], attempt.attempt)
    return [attempt for attempt in attempts if attempt.attempt < newest[attempt.turn_id] or not _is_lost(attempt)]


def _is_lost(attempt: FailedTurn) -> bool:
    return bool(orjson.loads(attempt.problem).get("code") == HostLost.code)
