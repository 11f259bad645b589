"""Turns on their way in: lines that take turns."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.resources.turn import Cancellation
from dspex_actors.sessions import intake
from dspex_actors.sessions.answers import MAILBOX_LIMIT
from dspex_actors.sessions.intake import A_TICK, Intake
from tests.unit.sessions.hosting import hosting, until

LINES = st.lists(st.sampled_from("abc"), max_size=60)


def let_in(lines: list[str]) -> list[tuple[str, int]]:
    """What is let in, in order, when all of it comes at once; items are numbered by line."""
    seen: list[tuple[str, int]] = []

    async def scenario() -> None:
        line_up = Intake[tuple[str, int]](asyncio.get_running_loop(), seen.append)
        for position, line in enumerate(lines):
            line_up.put(line, (line, lines[:position].count(line)))
        while len(seen) < len(lines):  # noqa: ASYNC110 - the next tick is what is waited for
            await asyncio.sleep(0)
        assert not any(line in line_up for line in lines)

    asyncio.run(scenario())
    return seen


@given(LINES)
def test_everything_is_let_in_once_and_in_the_order_of_its_line(lines: list[str]) -> None:
    """Nothing is lost, nothing overtakes within a line."""
    seen = let_in(lines)
    for line in "abc":
        assert [number for name, number in seen if name == line] == list(range(lines.count(line)))


def test_what_comes_behind_a_flood_does_not_wait_for_its_end() -> None:
    """A tick's worth of the flood is in already; then the lines take turns."""
    seen = let_in(["flood"] * 300 + ["other"])
    assert seen.index(("other", 0)) <= A_TICK + 1


def test_a_tick_lets_in_no_more_than_its_share() -> None:
    """So that the loop sees what else there is to do."""
    seen: list[int] = []

    async def scenario() -> None:
        line_up = Intake[int](asyncio.get_running_loop(), seen.append)
        for number in range(3 * A_TICK):
            line_up.put("flood", number)
        for ticks in (1, 2, 3):
            assert len(seen) == ticks * A_TICK
            await asyncio.sleep(0)

    asyncio.run(scenario())


def test_a_host_that_closes_tells_also_those_who_are_on_their_way_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once each; afterwards they are let in no more."""
    monkeypatch.setattr(intake, "A_TICK", 0)

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            waiters = [bench.ask(alice, f"t{number}") for number in range(3 * A_TICK)]
            await bench.close()
            assert {await waiter.error() for waiter in waiters} == {"outcome_unknown"}
            monkeypatch.setattr(intake, "A_TICK", len(waiters))
            bench.host._intake._tick()
            assert (bench.host._active, {len(waiter.answers) for waiter in waiters}) == ({}, {1})

    asyncio.run(scenario())


def test_nothing_is_spent_on_turns_that_a_full_mailbox_refuses() -> None:
    """Their inputs are not even read; a retry of a waiting turn joins it all the same."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            running = bench.ask(alice, "t0", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            waiting = [bench.ask(alice, f"t{number}") for number in range(1, MAILBOX_LIMIT + 1)]
            assert await bench.ask(alice, "more", do="refuse").error() == "mailbox_full"
            joined = bench.ask(alice, "t1")
            bench.program.gate("g").open()
            assert (await running.answer())["turn"] == 1
            assert await joined.answer() == await waiting[0].answer()
            assert (await waiting[-1].answer())["turn"] == MAILBOX_LIMIT + 1

    asyncio.run(scenario())


def test_a_turn_that_is_on_its_way_in_is_not_said_to_be_unknown() -> None:
    """Who would cancel it asks again in a moment."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await bench.ask(alice, "warm").answer()
            waiters = [bench.ask(alice, f"t{number}", gate="g") for number in range(A_TICK + 1)]
            assert bench.host.cancel(alice.uid, alice.unit, f"t{A_TICK}", "") is None
            await until(lambda: alice.uid not in bench.host._intake)
            assert bench.host.cancel(alice.uid, alice.unit, f"t{A_TICK}", "") == Cancellation((f"t{A_TICK}",))
            assert await waiters[-1].error() == "cancelled"

    asyncio.run(scenario())


def test_a_turn_behind_another_sessions_flood_waits_for_a_few_of_its_turns_only() -> None:
    """The flood's session runs one turn at a time, like any other; the rest of it waits in its own mailbox."""

    async def scenario() -> None:
        async with hosting() as bench:
            flooded, other = bench.session("flooded"), bench.session("other")
            await bench.ask(flooded, "warm").answer()
            await bench.ask(other, "warm").answer()
            flood = [bench.ask(flooded, f"t{number}") for number in range(MAILBOX_LIMIT)]
            answer = await bench.ask(other, "t1").answer()
            assert answer["turn"] == 2
            assert sum(bool(waiter.answers) for waiter in flood) < MAILBOX_LIMIT // 2
            assert (await flood[-1].answer())["turn"] == MAILBOX_LIMIT + 1

    asyncio.run(scenario())
