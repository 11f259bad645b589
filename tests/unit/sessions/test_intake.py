"""Turns on their way in: lines that take turns."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.sessions.intake import A_TICK, Intake
from tests.unit.sessions.hosting import hosting

LINES = st.lists(st.sampled_from("abc"), max_size=60)


def let_in(lines: list[str]) -> list[tuple[str, int]]:
    """What is let in, in order, when all of it comes at once; items are numbered by line."""
    seen: list[tuple[str, int]] = []

    async def scenario() -> None:
        intake = Intake[tuple[str, int]](asyncio.get_running_loop(), seen.append)
        for position, line in enumerate(lines):
            intake.put(line, (line, lines[:position].count(line)))
        while len(seen) < len(lines):  # noqa: ASYNC110 - the next tick is what is waited for
            await asyncio.sleep(0)
        assert not any(line in intake for line in lines)

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
        intake = Intake[int](asyncio.get_running_loop(), seen.append)
        for number in range(3 * A_TICK):
            intake.put("flood", number)
        for ticks in (1, 2, 3):
            assert len(seen) == ticks * A_TICK
            await asyncio.sleep(0)

    asyncio.run(scenario())


def test_a_host_that_closes_tells_also_those_who_are_on_their_way_in() -> None:
    """Once each."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            waiters = [bench.ask(alice, f"t{number}") for number in range(3 * A_TICK)]
            bench.host.cancel(alice.uid, alice.unit, None, "")
            await bench.close()
            assert {await waiter.error() for waiter in waiters} == {"outcome_unknown"}

    asyncio.run(scenario())
