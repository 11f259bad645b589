"""Which turns are looked up before they begin, what is found, and how their records end."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from dspex_actors.errors import DspexError, PoisonTurn, StoreUnavailable
from dspex_actors.resources.journal import FailedTurn, Verdict
from dspex_actors.resources.losses import Losses
from dspex_actors.sessions.events import Cancel, Expire, GiveBack, Release
from dspex_actors.sessions.suspicion import Finding, judge
from tests.unit.sessions.core import Bench
from tests.unit.sessions.test_losses import LOST, attempt

THIRD = attempt(3, LOST)


@pytest.mark.parametrize(
    ("told", "recorded", "alone", "found"),
    [
        (0, 0, False, Finding.FREE),
        (1, 0, False, Finding.RECORDED),
        (0, 1, False, Finding.RECORDED),
        (1, 2, False, Finding.HELD),
        (2, 1, False, Finding.RECORDED),
        (2, 2, True, Finding.RECORDED),
        (0, 2, True, Finding.RECORDED),
        (5, 0, False, Finding.RECORDED),
    ],
)
def test_what_is_known_of_losses_decides(told: int, recorded: int, alone: bool, found: Finding) -> None:
    """A router can only guess, and is believed about the first loss; from two on record on a turn runs alone."""
    verdict = judge(told, Losses(recorded), THIRD, alone)
    assert verdict.finding is found
    assert bool(verdict.rows) == (found is Finding.RECORDED)


def codes(rows: tuple[FailedTurn, ...]) -> list[tuple[int, str, Any]]:
    """Attempt, code, and whether it was alone, of each."""
    problems = [(row.attempt, orjson.loads(row.problem)) for row in rows]
    return [(number, problem["code"], problem.get("alone")) for number, problem in problems]


def test_the_attempt_is_recorded_and_the_lost_one_before_it_where_it_is_missing() -> None:
    """A first attempt is not recorded while it runs."""
    assert codes(judge(1, Losses(0), attempt(2, LOST), False).rows) == [(1, "host_lost", None), (2, "host_lost", None)]
    assert codes(judge(1, Losses(1), attempt(3, LOST), False).rows) == [(3, "host_lost", None)]
    assert codes(judge(2, Losses(2), THIRD, True).rows) == [(3, "host_lost", True)]


def test_a_turn_that_was_alone_at_a_loss_is_poison_wherever_it_comes() -> None:
    """The record says so once, and is not written again."""
    verdict = judge(0, Losses(3, attempt(3, LOST, alone=True)), attempt(4, LOST), True)
    assert isinstance(verdict.finding, PoisonTurn)
    assert codes(verdict.rows) == [(3, "poison_turn", None)]
    again = judge(3, Losses(2, None, verdict.rows[0]), attempt(4, LOST), False)
    assert (isinstance(again.finding, PoisonTurn), again.rows) == (True, ())


# The core --------------------------------------------------------------------------------------------------------
def suspect(finding: Finding | DspexError | None = None, **more: Any) -> Bench:
    """A session whose turn `a` was running at a loss and is looked up; `b` waits behind it."""
    bench = Bench()
    bench.arrive("a", losses=1, **more)
    bench.arrive("b")
    if finding is not None:
        bench.examined(finding)
    return bench


def test_a_turn_without_a_past_begins_at_once() -> None:
    """The common way costs nothing."""
    bench = Bench()
    bench.arrive("a")
    assert (len(bench.starts), bench.examines) == (1, [])


def test_a_suspect_does_not_begin_before_it_was_looked_up() -> None:
    """Nor does anything behind it."""
    bench = suspect()
    assert bench.starts == []
    bench.examined(Finding.RECORDED)
    assert [start.turn_id for start in bench.starts] == ["a"]


def test_a_turn_that_failed_before_is_looked_up_when_it_comes_again() -> None:
    """Its losses may be on record, though its router knows of none."""
    bench = Bench()
    bench.arrive("a")
    bench.raised()
    bench.arrive("again", "a")
    assert [(examine.attempt.turn_id, examine.losses) for examine in bench.examines] == [("a", 0)]
    bench.examined(Finding.FREE)
    bench.ran()
    bench.committed()
    assert (bench.answer("again")["attempts"], bench.settles) == (2, [])


def test_the_record_is_taken_back_when_the_turn_is_done() -> None:
    """It is in the journal now."""
    bench = suspect(Finding.RECORDED, attempt=2)
    bench.ran()
    bench.committed()
    assert [(settle.attempt, settle.failed) for settle in bench.settles] == [(2, None)]


def test_a_failure_is_on_record_before_anybody_hears_of_it() -> None:
    """Else the retry could be taken for a further loss."""
    bench = suspect(Finding.RECORDED, attempt=2)
    bench.raised()
    (settle,) = bench.settles
    assert settle.failed is not None
    assert codes((settle.failed,)) == [(2, "program_failed", None)]
    assert (bench.error("a"), bench.failures) == ("program_failed", [])


@pytest.mark.parametrize("finding", [None, Finding.RECORDED])
def test_what_moves_is_taken_off_the_record_first_and_returned_in_order(finding: Finding | None) -> None:
    """Also while it is looked up."""
    bench = suspect(finding)
    bench.tell(Release())
    (settle,) = bench.settles
    assert ([str(waiter) for waiter in settle.waiters], settle.failed) == (["a", "b"], None)
    assert (bench.error("a"), bench.error("b"), bench.stopped) == ("moved", "moved", True)


def test_a_turn_that_must_run_alone_waits_and_leaves_when_its_session_does() -> None:
    """First of all, and without a record: it has not begun."""
    bench = suspect(Finding.HELD)
    assert (bench.starts, bench.session.busy) == ([], True)
    bench.tell(GiveBack())
    assert (list(bench.replies), bench.settles, bench.session.busy) == (["a", "b"], [], False)


def test_a_turn_that_waits_for_a_host_in_vain_says_so() -> None:
    """Nothing of it hangs: the next one begins, and so do more of its kind."""
    bench = suspect(Finding.HELD)
    bench.tell(Expire(bench.listener("a"), 5))
    assert (bench.error("a"), [start.turn_id for start in bench.starts]) == ("no_capacity", ["b"])
    assert bench.session.abandoned == set()


@pytest.mark.parametrize("error", [PoisonTurn("No more."), StoreUnavailable("Not now.")])
def test_a_turn_that_is_refused_leaves_no_further_record(error: DspexError) -> None:
    """And the session goes on."""
    bench = suspect(error)
    assert (bench.error("a"), bench.failures, bench.settles) == (error.code, [], [])
    assert [start.turn_id for start in bench.starts] == ["b"]


def test_a_turn_that_is_cancelled_while_it_is_looked_up_does_not_begin() -> None:
    """What is found out late is thrown away."""
    bench = suspect()
    bench.tell(Cancel("a", 5))
    assert bench.error("a") == "cancelled"
    bench.examined(Finding.RECORDED)
    assert [start.turn_id for start in bench.starts] == ["b"]
    assert bench.session.abandoned == set()


def test_a_dropped_commit_counts_against_nobody() -> None:
    """The activation was stale; its host lives."""
    bench = suspect(Finding.RECORDED)
    bench.ran()
    bench.committed(Verdict.DROPPED)
    assert [settle.failed for settle in bench.settles] == [None]


def test_a_retry_that_joins_tells_what_its_router_has_seen() -> None:
    """The greater number counts."""
    bench = Bench()
    bench.arrive("first")
    bench.arrive("b")
    bench.arrive("again", "b", losses=2)
    bench.ran()
    bench.committed()
    assert [examine.losses for examine in bench.examines] == [2]


def test_a_rewind_is_never_suspected() -> None:
    """It runs no program."""
    bench = Bench()
    bench.turn("a")
    bench.rewind("back", 0)
    assert (len(bench.looks), bench.examines) == (1, [])
