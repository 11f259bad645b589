"""When a sweep removes nothing: a clock that is far off, and hosts that would not understand what is left."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from dspex_actors.clock import ManualClock
from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.journal import FailedTurn
from dspex_actors.resources.retention import Retention
from dspex_actors.resources.session import SessionRecord
from dspex_actors.resources.snapshot import STATE_VERSION
from dspex_actors.store import Store, open_store
from tests.protocol.store.making import TENANT
from tests.protocol.store.test_opening import opened_at
from tests.protocol.store.test_retention import ALL, keep, sweeper
from tests.protocol.store.test_time_travel import live
from tests.support.time_travel import TURN

DAY_S = 24 * 3600


def ahead_of(clock: ManualClock, days: float) -> ManualClock:
    """Another machine's clock."""
    return ManualClock(clock.now_us() + round(days * DAY_S * 1_000_000))


def aged(store: Store, clock: ManualClock) -> SessionRecord:
    """A session with a failed attempt, swept once with a right clock: nothing was old."""
    session, _ = live(store, [TURN] * 5)
    store.record_failures([FailedTurn(session.uid, "t", 1, 0, b"{}", b"{}", clock.now_us())])
    keep(store, clock, journal_days=30, failed_days=30)
    return session


def left(store: Store, session: SessionRecord) -> tuple[int, int]:
    """Turns that are removed, and failed attempts that are not."""
    return store.load_session(session.uid).removed_turns, len(store.failures(session.uid))


def test_a_clock_years_ahead_removes_nothing_and_says_so(
    store: Store, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Until it has been so for a day; what is counted in turns goes on."""
    session, wrong = aged(store, clock), ahead_of(clock, 2_000)
    with caplog.at_level(logging.WARNING):
        sweeper(store, wrong).sweep()
    assert (left(store, session), len(caplog.records)) == ((0, 1), 1)
    assert "the clock says 2029-05-06T22:13:20.000000Z, more than a day off the last sweep" in caplog.text
    keep(store, wrong, journal_days=30, journal_turns=3, failed_days=30)
    assert left(store, session) == (2, 1)
    sweeper(store, clock).sweep()
    wrong.advance(DAY_S)
    sweeper(store, wrong).sweep()
    assert left(store, session) == (2, 1)
    wrong.advance(DAY_S)
    sweeper(store, wrong).sweep()
    assert left(store, session) == (5, 0)


def test_what_is_old_is_removed_by_sweeps_that_go_on(store: Store, clock: ManualClock) -> None:
    """Time passes by itself, and nobody doubts it."""
    session = aged(store, clock)
    for _ in range(31):
        clock.advance(DAY_S)
        sweeper(store, clock).sweep()
    assert left(store, session) == (5, 0)


@contextmanager
def before_retention(url: str) -> Iterator[Store]:
    """A store whose hosts read states of version 1, as those of before snapshots do."""
    with opened_at(url, "0003") as connection:
        connection.exec_driver_sql("DELETE FROM meta WHERE key = 'state_version_written'")
    with closing(open_store(url)) as store:
        yield store


def test_nothing_is_removed_while_hosts_of_before_may_be_there(new_url: str) -> None:
    """They would go back to what was removed, and read it as if it were all there; it begins when they are gone."""
    with before_retention(new_url) as store:
        session, _ = live(store, [TURN] * 5)
        store.put_retention(TENANT, Retention(journal_turns=2), ALL)
        for version in (1, 2):
            assert store.raise_state_version(version) == version
            with pytest.raises(StoreUnavailable, match="Hosts of an older program"):
                sweeper(store).sweep()
            assert store.load_session(session.uid).removed_seq == 0
        assert store.raise_state_version(3) <= STATE_VERSION
        sweeper(store).sweep()
        assert store.load_session(session.uid).swept_seq == 3


def test_a_sweep_that_had_to_wait_comes_soon_and_says_why(
    new_url: str, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Not an interval later: it gives its claim back."""
    with before_retention(new_url) as store, caplog.at_level(logging.WARNING):
        assert not sweeper(store, clock)._apply(asked=False)
        assert "Retention begins by itself when the last of them has gone" in caplog.text
        assert store.claim_sweep(60)
