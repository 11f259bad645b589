"""The laws of one session, sentence by sentence."""

from __future__ import annotations

from dspex_actors.resources.journal import Verdict
from dspex_actors.sessions.answers import MAILBOX_LIMIT
from dspex_actors.sessions.events import Committed, Expire, Leave, Release, Stalled
from dspex_actors.sessions.session import ABANDONED_LIMIT, FAILED_KEPT
from dspex_actors.sessions.suspicion import Finding
from tests.unit.sessions.core import Bench


def test_a_turn_is_answered_only_after_its_commit() -> None:
    """accept, run, commit, reply: in this order."""
    bench = Bench()
    bench.arrive("a")
    bench.ran()
    assert "a" not in bench.replies
    bench.committed()
    assert bench.answer("a")["turn"] == 1


def test_turns_run_one_at_a_time_in_the_order_of_arrival() -> None:
    """The second starts when the first is committed, not before."""
    bench = Bench()
    for name in "abc":
        bench.arrive(name)
    assert [start.turn_id for start in bench.starts] == ["a"]
    bench.ran()
    assert len(bench.starts) == 1
    bench.committed()
    assert [start.turn_id for start in bench.starts] == ["a", "b"]


def test_a_turn_is_shown_the_earlier_ones() -> None:
    """The conversation is state."""
    bench = Bench()
    bench.turn("a")
    bench.arrive("b")
    assert [past.inputs for past in bench.starts[-1].history] == [{"q": "a"}]


def test_a_failed_turn_leaves_no_trace_in_the_state() -> None:
    """A definite error: same numbers, same history, a row for people to see."""
    bench = Bench()
    bench.turn("a")
    bench.arrive("b")
    bench.raised()
    assert bench.error("b") == "program_failed"
    assert [(f.turn_id, f.after_turn, f.attempt) for f in bench.failures] == [("b", 1, 1)]
    assert bench.turn("c")["turn"] == 2


def test_the_same_key_runs_again_after_a_definite_error() -> None:
    """With the next attempt number."""
    bench = Bench()
    bench.arrive("a", "key")
    bench.raised()
    bench.arrive("b", "key")
    bench.examined(Finding.FREE)
    assert bench.starts[-1].attempt == 2


def test_attempts_of_failed_turns_are_not_remembered_without_end() -> None:
    """Memory is bounded."""
    bench = Bench()
    for number in range(FAILED_KEPT + 5):
        bench.arrive(f"w{number}")
        bench.raised()
    assert len(bench.session.attempts) == FAILED_KEPT


def test_a_recorded_turn_is_recalled_not_run() -> None:
    """A retry finds the recorded reply."""
    bench = Bench()
    bench.turn("a")
    bench.arrive("again", "a")
    assert bench.recalls == ["a"]
    assert len(bench.starts) == 1


def test_a_retry_onto_a_running_turn_joins_it() -> None:
    """Both waiters get the one answer."""
    bench = Bench()
    bench.arrive("a", "key")
    bench.arrive("b", "key")
    bench.ran()
    bench.committed()
    assert bench.answer("a") == bench.answer("b")
    assert len(bench.starts) == 1


def test_a_retry_joins_a_waiting_turn() -> None:
    """It takes no second place in the mailbox."""
    bench = Bench()
    bench.arrive("first")
    bench.arrive("a", "key")
    bench.arrive("b", "key")
    assert bench.session.in_flight == 2


def test_a_retry_with_another_body_is_refused() -> None:
    """422, and the turn it named goes on."""
    bench = Bench()
    bench.arrive("a", "key")
    bench.arrive("b", "key", body=b"other")
    assert bench.error("b") == "idempotency_mismatch"
    bench.ran()
    bench.committed()
    assert bench.answer("a")["turn"] == 1


def test_a_full_mailbox_refuses_at_once() -> None:
    """One runs, a hundred wait, the next is refused."""
    bench = Bench()
    for number in range(MAILBOX_LIMIT + 2):
        bench.arrive(f"w{number}")
    assert bench.error(f"w{MAILBOX_LIMIT + 1}") == "mailbox_full"
    assert len(bench.replies) == 1


def test_an_expired_turn_never_starts() -> None:
    """It leaves the mailbox with a definite error."""
    bench = Bench()
    bench.arrive("a")
    bench.arrive("b")
    bench.tell(Expire(bench.listener("b"), 0))
    assert bench.error("b") == "deadline_exceeded"
    bench.ran()
    bench.committed()
    assert len(bench.starts) == 1


def test_a_running_turn_that_expires_is_aborted_and_the_next_one_starts() -> None:
    """The late result is discarded by its token."""
    bench = Bench()
    bench.arrive("a")
    bench.arrive("b")
    bench.tell(Expire(bench.listener("a"), 0))
    assert bench.error("a") == "deadline_exceeded"
    assert bench.aborts == [1]
    bench.ran(token=1)
    assert not bench.commits
    bench.ran(token=2)
    assert bench.commits[-1].turn_id == "b"


def test_a_turn_that_is_queued_for_commit_no_longer_expires() -> None:
    """Its answer is about to come."""
    bench = Bench()
    bench.arrive("a")
    bench.ran()
    bench.tell(Expire(bench.listener("a"), 0))
    assert "a" not in bench.replies
    bench.committed()
    assert bench.answer("a")["turn"] == 1


def test_a_joined_turn_lives_until_its_last_waiter_expires() -> None:
    """The first to give up leaves with outcome_unknown, the last one cancels."""
    bench = Bench()
    bench.arrive("a", "key")
    bench.arrive("b", "key")
    bench.tell(Expire(bench.listener("a"), 0))
    assert bench.error("a") == "outcome_unknown"
    assert not bench.aborts
    bench.tell(Expire(bench.listener("b"), 0))
    assert bench.error("b") == "deadline_exceeded"


def test_a_turn_runs_on_when_its_client_has_gone() -> None:
    """A turn's life does not depend on its request."""
    bench = Bench()
    bench.arrive("a")
    bench.tell(Leave(bench.listener("a"), 0))
    assert not bench.aborts
    bench.ran()
    bench.committed()
    assert bench.session.state.turn == 1


def test_a_turn_that_asked_for_it_is_cancelled_when_its_client_has_gone() -> None:
    """cancel_on_disconnect."""
    bench = Bench()
    bench.arrive("a", cancel_on_disconnect=True)
    bench.tell(Leave(bench.listener("a"), 0))
    assert bench.aborts == [1]
    assert bench.turn("b")["turn"] == 1


def test_a_joined_turn_is_cancelled_only_if_everybody_wanted_that() -> None:
    """One waiter that did not ask for it keeps the turn alive."""
    bench = Bench()
    bench.arrive("a", "key", cancel_on_disconnect=True)
    bench.arrive("b", "key")
    bench.tell(Leave(bench.listener("a"), 0))
    bench.tell(Leave(bench.listener("b"), 0))
    assert not bench.aborts


def test_expected_turn_must_be_the_number_that_the_turn_gets() -> None:
    """Looked at when the turn would start, not when it came in."""
    bench = Bench()
    bench.arrive("a")
    bench.arrive("b", expected_turn=2)
    bench.arrive("c", expected_turn=2)
    bench.ran()
    bench.committed()
    bench.ran()
    bench.committed()
    assert bench.answer("b")["turn"] == 2
    assert bench.error("c") == "precondition_failed"


def test_a_recorded_key_replays_before_expected_turn_is_looked_at() -> None:
    """A retry of an ordered turn is not refused for its number."""
    bench = Bench()
    bench.turn("a")
    bench.arrive("again", "a", expected_turn=1)
    assert bench.recalls == ["a"]


def test_a_session_whose_attempts_hang_says_busy() -> None:
    """Until one of them has ended."""
    bench = Bench()
    for number in range(ABANDONED_LIMIT):
        bench.arrive(f"hung{number}")
        bench.tell(Expire(bench.listener(f"hung{number}"), 0))
    bench.arrive("a")
    assert bench.error("a") == "session_busy"
    bench.ran(token=1)
    assert bench.turn("b")["turn"] == 1


def test_a_session_that_moved_gives_everything_back_in_order() -> None:
    """The router is the only buffer during a move."""
    bench = Bench()
    for name in "abc":
        bench.arrive(name)
    bench.tell(Release())
    assert list(bench.replies) == ["a", "b", "c"]
    assert {bench.error(name) for name in "abc"} == {"moved"}
    assert bench.stopped


def test_a_commit_under_a_stale_lease_ends_the_activation() -> None:
    """The new owner's journal decides; nobody is told anything definite."""
    bench = Bench()
    bench.arrive("a")
    bench.ran()
    bench.committed(Verdict.MOVED)
    assert bench.error("a") == "moved"
    assert bench.stopped
    assert bench.session.state.turn == 0


def test_a_store_that_does_not_answer_makes_the_outcome_unknown() -> None:
    """The turn being written may or may not be there; those that wait have not run."""
    bench = Bench()
    bench.arrive("a")
    bench.arrive("b")
    bench.ran()
    bench.tell(Stalled(0))
    bench.arrive("c")
    assert bench.error("a") == "outcome_unknown"
    assert bench.error("b") == bench.error("c") == "store_unavailable"


def test_a_session_goes_on_when_the_store_is_back() -> None:
    """A retry that joined meanwhile gets the answer."""
    bench = Bench()
    bench.arrive("a", "key")
    bench.ran()
    bench.tell(Stalled(0))
    bench.arrive("again", "key")
    bench.committed()
    assert bench.answer("again")["turn"] == 1
    assert bench.turn("b")["turn"] == 2


def test_an_entry_carries_the_identities_of_its_activation() -> None:
    """uid, unit, epoch and number; the writer looks nothing up."""
    bench = Bench()
    bench.turn("a")
    entry = bench.commits[-1]
    assert (entry.uid, entry.unit, entry.epoch, entry.seq, entry.turn) == ("UID", "shard:7", 1, 1, 1)


def test_an_entry_that_the_store_refuses_fails_its_turn_alone() -> None:
    """A definite error, once; the session goes on."""
    bench = Bench()
    bench.arrive("a")
    bench.ran()
    bench.tell(Committed(Verdict.REFUSED, 0))
    assert bench.error("a") == "internal"
    assert bench.turn("b")["turn"] == 1
