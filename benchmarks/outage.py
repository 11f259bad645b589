"""What a client feels of one kill: the outage, and the latency that it added."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.latency import percentile
from benchmarks.load import Record


@dataclass(frozen=True, slots=True)
class Outage:
    """One kill as the clients saw it; times in ms, `added_ms` one figure per affected request that ended in 200.

    `outage_ms` is infinite when nothing that was sent after the kill was ever answered. `worst_later_ms` is the worst
    added latency after the outage, up to the next kill: a replacement that starves its neighbours shows there.
    `generator_late_ms` is the worst delay of the generator itself in sending an affected request: high when the machine
    had no time even for that.
    """

    outage_ms: float
    added_ms: tuple[float, ...]
    worst_later_ms: float
    errors: int
    generator_late_ms: float

    def as_json(self) -> dict[str, Any]:
        """Figures for a report."""
        figures = asdict(self)
        del figures["added_ms"]
        return {**{name: round(value, 1) for name, value in figures.items()}, **added_figures(self.added_ms)}


def fault_free_median_s(records: Sequence[Record], before: float) -> float:
    """The median latency of the good answers that came before the first kill.

    Raises:
        ValueError: There were none.
    """
    times = [record.latency_s for record in records if record.status == 200 and record.done < before]
    if not times:
        raise ValueError("There was no good answer before the first kill: nothing to compare with.")
    return statistics.median(times)


def outage_of(records: Sequence[Record], killed_at: float, until: float, median_s: float) -> Outage:
    """The outage that began at `killed_at`, looking at the records up to `until` (the next kill, or the end).

    It ends with the first good answer to a request that was sent after the kill. Affected are the requests that were
    in flight at the kill and those that were due between the kill and that end.
    """
    seen = [record for record in records if record.done > killed_at and record.scheduled < until]
    answered = [record.done for record in seen if record.status == 200 and record.sent > killed_at]
    end = min(answered, default=math.inf)
    affected = [record for record in seen if record.scheduled <= end]
    later = [record for record in seen if record.scheduled > end and record.done <= until]
    return Outage(
        outage_ms=(end - killed_at) * 1e3,
        added_ms=tuple(_added_ms(affected, median_s)),
        worst_later_ms=max(_added_ms(later, median_s), default=0.0),
        errors=sum(record.status != 200 for record in seen if record.done <= until),
        generator_late_ms=max((record.sent - record.scheduled for record in affected), default=0.0) * 1e3,
    )


def _added_ms(records: Sequence[Record], median_s: float) -> list[float]:
    return [(record.latency_s - median_s) * 1e3 for record in records if record.status == 200]


def added_figures(added_ms: Sequence[float]) -> dict[str, float]:
    """How many requests, and the p50, p99 and maximum of what was added to them, in ms."""
    values = added_ms or (math.nan,)
    return {
        "affected": len(added_ms),
        "added_p50_ms": round(percentile(values, 0.50), 1),
        "added_p99_ms": round(percentile(values, 0.99), 1),
        "added_max_ms": round(max(values), 1),
    }
