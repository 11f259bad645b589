"""Cancelling turns: which one is meant, what is too late, and asking twice."""

from __future__ import annotations

import asyncio

import pytest

from dspex_actors.errors import NoCapacity
from dspex_actors.resources.turn import Cancellation
from dspex_actors.sessions import cancelling
from dspex_actors.sessions.cancelling import CALLS_KEPT, insist
from dspex_actors.sessions.events import Cancel
from dspex_actors.sessions.session import FAILED_KEPT
from tests.unit.sessions.core import Bench
from tests.unit.sessions.hosting import Heard, Scripted, hosting, until


def test_a_running_turn_is_cancelled_and_the_next_one_starts() -> None:
    """A definite error; the state is as before, and people can see the attempt."""
    bench = Bench()
    bench.arrive("a")
    bench.arrive("b")
    bench.tell(Cancel("a", 0))
    assert (bench.error("a"), bench.aborts, bench.starts[-1].turn_id) == ("cancelled", [1], "b")
    assert [(failed.turn_id, failed.attempt) for failed in bench.failures] == [("a", 1)]
    bench.ran()
    bench.committed()
    assert bench.answer("b")["turn"] == 1


def test_a_waiting_turn_is_cancelled_and_never_starts() -> None:
    """The running one goes on."""
    bench = Bench()
    for name in "abc":
        bench.arrive(name)
    bench.tell(Cancel("b", 0))
    bench.ran()
    bench.committed()
    assert (bench.error("b"), [start.turn_id for start in bench.starts]) == ("cancelled", ["a", "c"])


def test_a_turn_that_is_queued_for_commit_is_not_cancelled() -> None:
    """Its answer is about to come."""
    bench = Bench()
    bench.arrive("a")
    bench.ran()
    bench.tell(Cancel("a", 0))
    bench.committed()
    assert bench.answer("a")["turn"] == 1


def test_cancelled_turns_are_not_remembered_without_end() -> None:
    """And one that came again is not cancelled any more."""
    bench = Bench()
    bench.arrive("runs")
    for number in range(FAILED_KEPT + 5):
        bench.arrive(f"w{number}", "key" if number == FAILED_KEPT else None)
        bench.tell(Cancel("key" if number == FAILED_KEPT else f"w{number}", 0))
    bench.arrive("again", "key")
    assert len(bench.session.cancelled) == FAILED_KEPT - 1
    assert "key" not in bench.session.cancelled


@pytest.mark.parametrize("is_async", [True, False])
def test_a_cancelled_turn_ends_at_once_whatever_its_program_does(is_async: bool) -> None:
    """Awaiting or blocking a thread: the late result is thrown away, and the next turn gets its number."""

    async def scenario() -> None:
        async with hosting(Scripted(is_async)) as bench:
            alice = bench.session()
            running = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            assert bench.host.cancel(alice.uid, alice.unit, None, "") == Cancellation(("t1",))
            assert await running.error() == "cancelled"
            assert (await bench.ask(alice, "t2").answer())["turn"] == 1
            bench.program.gate("g").open()
            await until(lambda: not bench.host._active[alice.uid].runs)
            assert bench.journal(alice) == [(1, "t2")]

    asyncio.run(scenario())


def test_asking_twice_for_a_named_turn_gives_the_same_answer() -> None:
    """Nothing else is cancelled by it."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            waiting = bench.ask(alice, "t2")
            answers = [bench.host.cancel(alice.uid, alice.unit, "t1", "") for _ in range(2)]
            assert answers == [Cancellation(("t1",))] * 2
            assert (await waiting.answer())["turn"] == 1
            assert bench.host.cancel(alice.uid, alice.unit, "t2", "") == Cancellation()  # the journal is asked

    asyncio.run(scenario())


def test_repeating_a_call_with_its_key_cancels_no_second_turn() -> None:
    """Its answer was lost; the turn after it must not pay for that."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            second = bench.ask(alice, "t2", gate="g")
            assert bench.host.cancel(alice.uid, alice.unit, None, "key") == Cancellation(("t1",))
            await until(lambda: bench.program.gate("g").reached == 2)
            assert bench.host.cancel(alice.uid, alice.unit, None, "key") == Cancellation(("t1",), replayed=True)
            bench.program.gate("g").open()
            assert (await second.answer())["turn"] == 1
            for number in range(CALLS_KEPT + 1):
                bench.host.cancel(alice.uid, alice.unit, None, f"k{number}")
            assert len(bench.host._active[alice.uid].cancels) == CALLS_KEPT

    asyncio.run(scenario())


def test_a_session_that_is_being_read_is_to_be_asked_again() -> None:
    """A turn that waits for that may be recorded: nothing definite can be said of it yet."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            assert bench.host.cancel(alice.uid, alice.unit, None, "") == Cancellation()
            waking = bench.ask(alice, "t1", gate="g")
            assert bench.host.cancel(alice.uid, alice.unit, "t1", "") is None
            await until(lambda: bench.program.gate("g").reached == 1)
            assert bench.host.cancel(alice.uid, alice.unit, "t1", "") == Cancellation(("t1",))
            assert await waking.error() == "cancelled"
            assert bench.host.cancel("uid", "shard:none", None, "") is None

    asyncio.run(scenario())


def test_a_waiting_turn_that_is_cancelled_does_not_end_the_running_ones_stream() -> None:
    """Its tokens go on, and a late joiner is caught up."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await bench.ask(alice, "t0").answer()
            running = bench.ask(alice, "t1", Heard(streams=True), tokens=2, gate="g")
            await until(lambda: len(running.events) == 2)
            bench.ask(alice, "t2")
            bench.host.cancel(alice.uid, alice.unit, "t2", "")
            joined = bench.ask(alice, "t1", Heard(streams=True), tokens=2, gate="g")
            bench.program.gate("g").open()
            await running.answer()
            assert joined.events == running.events

    asyncio.run(scenario())


def test_insisting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence that says what to do."""
    monkeypatch.setattr(cancelling, "PATIENCE_S", 0.0)

    async def nobody() -> None:
        return None

    with pytest.raises(NoCapacity, match="Try again"):
        asyncio.run(insist(nobody))
