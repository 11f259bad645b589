"""Added latency as the design defines it."""

from __future__ import annotations

import math

import pytest

from benchmarks.load import Record
from benchmarks.outage import added_figures, fault_free_median_s, outage_of


def record(scheduled: float, done: float, status: int = 200) -> Record:
    """A request that was sent when it was due."""
    return Record(scheduled, scheduled, done, status, b"")


BEFORE = [record(0.0, 0.01), record(0.5, 0.51), record(0.8, 0.83)]
IN_FLIGHT, FIRST, SECOND = record(0.99, 1.09), record(1.02, 1.06), record(1.04, 1.07)
AFTER = [record(1.10, 1.11), record(1.50, 1.57)]
RECORDS = [*BEFORE, IN_FLIGHT, FIRST, SECOND, *AFTER]


def test_an_outage_ends_with_the_first_good_answer_to_a_request_sent_after_the_kill() -> None:
    """The kill is at 1.0 s; the request that was in flight does not end it."""
    assert outage_of(RECORDS, 1.0, math.inf, 0.01).outage_ms == pytest.approx(60)


def test_added_latency_is_that_of_requests_in_flight_or_due_during_the_outage_minus_the_fault_free_median() -> None:
    """Those that came before or after have no part in it."""
    outage = outage_of(RECORDS, 1.0, math.inf, fault_free_median_s(RECORDS, before=1.0))
    assert sorted(outage.added_ms) == pytest.approx([20, 30, 90])


def test_what_comes_after_the_outage_is_reported_apart() -> None:
    """A replacement that starves its neighbours shows there."""
    assert outage_of(RECORDS, 1.0, math.inf, 0.01).worst_later_ms == pytest.approx(60)


def test_a_failed_request_is_an_error_and_neither_ends_the_outage_nor_counts_as_fast() -> None:
    """An error answered at once must not look like a short outage."""
    outage = outage_of([record(1.01, 1.011, status=503), FIRST], 1.0, math.inf, 0.01)
    assert outage.errors == 1
    assert outage.outage_ms == pytest.approx(60)
    assert outage.added_ms == pytest.approx((30,))


def test_an_outage_without_a_good_answer_never_ended() -> None:
    """Nothing is made up when nobody came back."""
    outage = outage_of([record(1.01, 2.0, status=0)], 1.0, math.inf, 0.01)
    assert outage.outage_ms == math.inf
    assert math.isnan(added_figures(outage.added_ms)["added_p50_ms"])


def test_a_kill_is_not_blamed_for_the_next_one() -> None:
    """Requests that the second kill held up belong to the second."""
    held_up = record(1.95, 2.40)
    assert outage_of([*RECORDS, held_up], 1.0, 2.0, 0.01).worst_later_ms == pytest.approx(60)


def test_without_a_good_answer_before_the_kill_there_is_nothing_to_compare_with() -> None:
    """The median is never taken from the time of the faults."""
    with pytest.raises(ValueError, match="nothing to compare"):
        fault_free_median_s([FIRST, record(0.1, 0.2, status=500)], before=1.0)
