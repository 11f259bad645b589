"""The restart window, sentence by sentence of OTP's `supervisor`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisors.intensity import add_restart, exceeded


def test_a_stamp_as_old_as_the_period_still_counts() -> None:
    """OTP keeps stamps at or after now minus the period."""
    assert add_restart([1.0, 2.0], now=6.0, max_seconds=5.0) == [1.0, 2.0, 6.0]


def test_a_stamp_older_than_the_period_is_forgotten() -> None:
    """Just outside the window is outside."""
    assert add_restart([0.999, 2.0], now=6.0, max_seconds=5.0) == [2.0, 6.0]


def test_as_many_restarts_as_the_intensity_are_allowed_and_one_more_is_not() -> None:
    """The count must exceed the intensity."""
    assert [exceeded([0.0] * n, 2) for n in range(5)] == [False, False, False, True, True]


def test_with_intensity_zero_the_first_restart_is_one_too_many() -> None:
    """Intensity 0: the first failure is fatal."""
    assert exceeded(add_restart([], now=0.0, max_seconds=5.0), 0)


@given(st.lists(st.floats(0, 100), max_size=30).map(sorted), st.floats(0.1, 20))
def test_the_stamps_are_always_those_of_the_window_that_ends_now(times: list[float], period: float) -> None:
    """However restarts fall, what is kept is what a fresh count over all of history would find."""
    stamps: list[float] = []
    for index, now in enumerate(times):
        stamps = add_restart(stamps, now, period)
        assert stamps == [time for time in times[:index] if time >= now - period] + [now]
