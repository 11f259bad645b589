"""Whose clock is believed when things are removed for their age."""

from __future__ import annotations

import pytest

from dspex_actors.resources.retention import DAY_US, Seen

NOW = 20_000 * DAY_US
YEARS = 2_000 * DAY_US


def told(*clocks: int) -> list[bool]:
    """Whether each was believed, one sweep after the other."""
    seen, believed = Seen(), []
    for clock in clocks:
        seen, is_believed = seen.told(clock)
        believed.append(is_believed)
    return believed


@pytest.mark.parametrize("off", [0, 1, DAY_US, -DAY_US])
def test_a_clock_within_a_day_of_the_last_one_is_believed(off: int) -> None:
    """Clocks of two machines differ by less, and sweeps come every hour."""
    assert told(NOW, NOW + off) == [True, True]


@pytest.mark.parametrize("off", [DAY_US + 1, YEARS, -YEARS])
def test_a_clock_that_is_further_off_is_doubted_for_a_day(off: int) -> None:
    """Then it is believed: perhaps nobody has swept for long."""
    there = NOW + off
    clocks = [NOW, there, there + 1, there + DAY_US - 1, there + DAY_US, there + DAY_US + 1]
    assert told(*clocks) == [True, False, False, False, True, True]


def test_a_clock_that_leaps_while_another_one_is_doubted_is_doubted_anew() -> None:
    """The day of the one is not the other's: the server was off for some days, then a clock is wrong by years."""
    assert told(NOW, NOW + 5 * DAY_US, NOW + YEARS, NOW + YEARS + DAY_US - 1) == [True, False, False, False]


def test_one_wrong_clock_among_right_ones_is_never_believed() -> None:
    """However long it goes on: whoever is right puts an end to the doubt."""
    sweeps = [clock for hour in range(50) for clock in (NOW + hour * DAY_US // 24, NOW + YEARS + hour * DAY_US // 24)]
    assert told(*sweeps) == [True, False] * 50


def test_a_doubted_clock_that_goes_back_is_doubted_anew() -> None:
    """It is another one."""
    assert told(NOW, NOW + YEARS, NOW + 9 * DAY_US, NOW + 9 * DAY_US + 1) == [True, False, False, False]
