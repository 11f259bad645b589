"""Latencies as figures: percentiles by nearest rank, and the summary of a run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.load import Run


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of the values do not exceed: nearest rank, a value that occurred.

    Raises:
        ValueError: There are no values, or `share` lies outside 0 to 1.
    """
    if not values or not 0 <= share <= 1:
        raise ValueError("A percentile takes at least one value and a share from 0 to 1.")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Summary:
    """One run: good answers (200) a second inside the window, whenever they were asked for; latencies in ms of the
    requests that were sent in it, and how many of those got no good answer.
    """

    requests_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int
    generator_us: float

    def as_json(self) -> dict[str, Any]:
        """Rounded for a report."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


def summarise(run: Run) -> Summary:
    """A run as figures; without a single good answer the latencies are not a number."""
    good = [record for record in run.records if record.status == 200]
    answered = (record for record in (*run.warmup, *good) if record.status == 200)
    inside = sum(run.start <= record.done <= run.end for record in answered)
    times = [record.latency_s * 1e3 for record in good] or [math.nan]
    return Summary(
        requests_per_s=inside / (run.end - run.start),
        p50_ms=percentile(times, 0.50),
        p95_ms=percentile(times, 0.95),
        p99_ms=percentile(times, 0.99),
        errors=len(run.records) - len(good),
        generator_us=run.cpu_us_per_request,
    )


def median_of(rounds: Sequence[Summary]) -> Summary:
    """Field by field the median over the rounds; errors are added up."""

    def middle(name: str) -> float:
        return float(statistics.median(getattr(summary, name) for summary in rounds))

    return Summary(
        requests_per_s=middle("requests_per_s"),
        p50_ms=middle("p50_ms"),
        p95_ms=middle("p95_ms"),
        p99_ms=middle("p99_ms"),
        errors=sum(summary.errors for summary in rounds),
        generator_us=middle("generator_us"),
    )
