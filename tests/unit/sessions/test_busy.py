"""What a turn does that finds its session busy: the three policies, sentence by sentence."""

from __future__ import annotations

import orjson

from dspex_actors.errors import SessionBusy
from dspex_actors.resources.journal import Verdict
from dspex_actors.sessions.session import ABANDONED_LIMIT
from tests.unit.sessions.core import Bench, busy_bench


def codes(bench: Bench) -> dict[str, str]:
    """The code of every definite error so far, by waiter."""
    return {name: bench.error(name) for name, (answer,) in bench.replies.items() if not isinstance(answer, bytes)}


def test_reject_refuses_a_turn_while_another_one_runs() -> None:
    """At once, and says when to try again; afterwards turns run."""
    bench = busy_bench("reject")
    bench.arrive("a")
    bench.arrive("b")
    (refused,) = bench.replies["b"]
    assert isinstance(refused, SessionBusy)
    assert refused.retry_after_s == 1
    bench.ran()
    bench.arrive("c")
    assert bench.error("c") == "session_busy"
    bench.committed()
    assert [bench.answer("a")["turn"], bench.turn("d")["turn"]] == [1, 2]


def test_reject_lets_a_retry_of_the_running_turn_join() -> None:
    """It is the same turn, not another one."""
    bench = busy_bench("reject")
    bench.arrive("a", "key")
    bench.arrive("b", "key")
    bench.ran()
    bench.committed()
    assert bench.answer("a") == bench.answer("b")


def test_reject_replays_a_recorded_key_also_while_busy() -> None:
    """A replay runs nothing."""
    bench = busy_bench("reject")
    bench.turn("a")
    bench.arrive("b")
    bench.arrive("again", "a")
    assert bench.recalls == ["a"]


def test_reject_lets_a_turn_wait_that_had_been_let_in_before() -> None:
    """Its host was lost, and another turn came first to the new one: no client sees that."""
    bench = busy_bench("reject")
    bench.arrive("new")
    bench.arrive("old", resent=True)
    bench.ran()
    bench.committed()
    bench.ran()
    bench.committed()
    assert [bench.answer("new")["turn"], bench.answer("old")["turn"]] == [1, 2]


def test_interrupt_cancels_the_running_turn_and_runs_the_new_one() -> None:
    """The old one leaves nothing in the state; its late result is discarded."""
    bench = busy_bench("interrupt")
    bench.arrive("a")
    bench.arrive("b")
    assert (codes(bench), bench.aborts) == ({"a": "cancelled"}, [1])
    bench.ran(token=1)
    assert not bench.commits
    bench.ran(token=2)
    bench.committed()
    assert bench.answer("b")["turn"] == 1
    assert [orjson.loads(failed.problem)["code"] for failed in bench.failures] == ["cancelled"]


def test_interrupt_cancels_for_everybody_who_waits_for_the_turn() -> None:
    """Joined or first."""
    bench = busy_bench("interrupt")
    bench.arrive("a", "key")
    bench.arrive("b", "key")
    bench.arrive("new")
    assert codes(bench) == {"a": "cancelled", "b": "cancelled"}


def test_a_turn_that_is_queued_for_commit_is_not_interrupted() -> None:
    """What waits behind it is, and the newest runs after it."""
    bench = busy_bench("interrupt")
    bench.arrive("a")
    bench.ran()
    bench.arrive("b")
    bench.arrive("c")
    assert (codes(bench), bench.aborts) == ({"b": "cancelled"}, [])
    bench.committed()
    bench.ran()
    bench.committed()
    assert [bench.answer("a")["turn"], bench.answer("c")["turn"]] == [1, 2]


def test_a_turn_that_waited_and_was_interrupted_can_be_read_by_its_key() -> None:
    """Started 0 times; the same key would start it for the first time."""
    bench = busy_bench("interrupt")
    bench.arrive("a")
    bench.ran()
    bench.arrive("b")
    bench.arrive("c")
    assert [(failed.turn_id, failed.attempt) for failed in bench.failures] == [("b", 0)]
    bench.arrive("again", "b")
    bench.committed()
    assert (bench.starts[-1].turn_id, bench.starts[-1].attempt) == ("b", 1)


def test_the_newest_turn_waits_when_too_many_interrupted_ones_have_not_ended() -> None:
    """A burst is no reason to refuse the last of it; it starts when one has ended."""
    bench = busy_bench("interrupt")
    for number in range(ABANDONED_LIMIT + 2):
        bench.arrive(f"w{number}")
    newest = f"w{ABANDONED_LIMIT + 1}"
    assert newest not in bench.replies
    assert len(bench.starts) == ABANDONED_LIMIT
    bench.raised(token=1)
    assert bench.starts[-1].turn_id == newest


def test_interrupt_spares_the_running_turn_when_the_new_one_could_not_run() -> None:
    """Its expected number is wrong, its key is recorded, or another body has it."""
    bench = busy_bench("interrupt")
    bench.turn("recorded")
    bench.arrive("a", "key")
    bench.arrive("wrong", expected_turn=7)
    bench.arrive("again", "recorded")
    bench.arrive("other", "key", body=b"other")
    assert not bench.aborts
    assert codes(bench) | {"again": ""} == {
        "wrong": "precondition_failed",
        "other": "idempotency_mismatch",
        "again": "",
    }


def test_an_interrupting_turn_gets_the_number_that_it_expects() -> None:
    """That of the turn which it replaces, or the next one behind a commit; also when the commit fails."""
    bench = busy_bench("interrupt")
    bench.arrive("a", expected_turn=1)
    bench.arrive("b", expected_turn=1)
    bench.ran()
    bench.arrive("c", expected_turn=2)
    assert codes(bench) == {"a": "cancelled"}
    bench.committed(Verdict.REFUSED)
    assert codes(bench) == {"a": "cancelled", "b": "internal", "c": "precondition_failed"}


def test_a_turn_that_comes_again_after_a_failover_interrupts_nobody() -> None:
    """It may be older than what runs."""
    bench = busy_bench("interrupt")
    bench.arrive("new")
    bench.arrive("old", resent=True)
    assert not bench.aborts
    assert bench.session.in_flight == 2
