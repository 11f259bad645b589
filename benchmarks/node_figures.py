"""What clients felt of a fault on one of several nodes, from what each turn saw."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.latency import percentile


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn as its client saw it: when it was due and answered, on which node its session was when it was due."""

    session: str
    key: str
    due: float
    done: float
    node: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What clients felt of a fault, in ms; `added` is over the fault-free median.

    Attributes:
        noticed_ms: Until routers knew that the lost hosts are.
        affected: Turns of the lost node's sessions that were under way or due until then.
        added_p50_ms: Of these.
        added_p99_ms: Of these.
        added_max_ms: Of these.
        others_max_ms: The worst of all other turns from the fault until the load ended.
        errors: Turns that failed, of all.
    """

    noticed_ms: float
    affected: int
    added_p50_ms: float
    added_p99_ms: float
    added_max_ms: float
    others_max_ms: float
    errors: int

    def as_json(self) -> dict[str, float]:
        """For a report."""
        return {name: round(value, 1) for name, value in asdict(self).items()}


def figures(asked: Sequence[Asked], node: str | None, began: float, noticed: float) -> Figures:
    """What the turns felt of a fault that began then and was noticed then."""
    usual = statistics.median(turn.done - turn.due for turn in asked if turn.done < began)
    added = {turn: turn.done - turn.due - usual for turn in asked if turn.done > began}
    affected = [late for turn, late in added.items() if turn.node == node and turn.due <= noticed]
    others = [late for turn, late in added.items() if turn.node != node or turn.due > noticed]
    worst = sorted(affected) or [0.0]
    return Figures(
        noticed_ms=(noticed - began) * 1000,
        affected=len(affected),
        added_p50_ms=percentile(worst, 0.5) * 1000,
        added_p99_ms=percentile(worst, 0.99) * 1000,
        added_max_ms=worst[-1] * 1000,
        others_max_ms=max(others, default=0.0) * 1000,
        errors=sum(turn.error is not None for turn in asked),
    )
