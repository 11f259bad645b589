"""Percentiles and the summary of a run."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.latency import percentile, summarise
from benchmarks.load import Record, Run

VALUES = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50)


@given(VALUES, st.floats(0, 1))
def test_a_percentile_is_the_smallest_value_that_enough_of_the_values_do_not_exceed(
    values: list[float], share: float
) -> None:
    """Nearest rank, stated as a law."""
    found = percentile(values, share)
    needed = share * len(values)
    assert found in values
    assert sum(value <= found for value in values) >= needed
    smaller = [value for value in values if value < found]
    assert len(smaller) < max(1, math.ceil(needed))


def test_the_median_of_an_even_number_of_values_is_one_of_them() -> None:
    """No figure is reported that never occurred."""
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.0


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], -0.1), ([1.0], 1.1)])
def test_a_percentile_of_nothing_or_beyond_everything_is_refused(values: list[float], share: float) -> None:
    """Bad input is an error, not a figure."""
    with pytest.raises(ValueError, match="at least one value"):
        percentile(values, share)


def record(sent: float, done: float, status: int = 200) -> Record:
    """A request that was sent when it was due."""
    return Record(sent, sent, done, status, b"")


def test_throughput_counts_what_was_answered_inside_the_window_and_errors_count_apart() -> None:
    """An answer to a warm-up request is work done in the window, a late one is not; latency is of its own requests."""
    measured = [record(10.1, 10.2), record(11.5, 13.0), record(11.0, 11.1, status=503)]
    run = Run(measured, warmup=[record(9.0, 10.5), record(9.0, 9.5)], start=10.0, end=12.0, cpu_s=0.001)
    summary = summarise(run)
    assert summary.requests_per_s == 1.0
    assert summary.p99_ms == pytest.approx(1500)
    assert summary.errors == 1
    assert summary.generator_us == pytest.approx(200)
