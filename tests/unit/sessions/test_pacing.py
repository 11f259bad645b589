"""A moment's rest between the turns of a session that always has the next one waiting."""

from __future__ import annotations

import asyncio

import pytest

from dspex_actors.sessions import pacing
from dspex_actors.sessions.pacing import BESIDE_S, REST_S, Pace
from tests.unit.sessions.hosting import hosting, until


def test_who_is_alone_does_not_rest() -> None:
    """There is nobody to rest for."""
    pace = Pace()
    assert [pace.rest_s("a", True, number * 0.001) for number in range(100)] == [0.0] * 100


def test_a_flood_beside_others_rests_between_its_turns() -> None:
    """The others do not: none of their turns waited for one of their own."""
    pace = Pace()
    assert pace.rest_s("other", False, 1.0) == 0.0
    assert pace.rest_s("flood", False, 1.001) == 0.0
    assert pace.rest_s("flood", True, 1.002) == REST_S
    assert pace.rest_s("other", False, 1.003) == 0.0
    assert pace.rest_s("flood", True, 1.004) == REST_S


def test_two_floods_rest_for_each_other() -> None:
    """Neither is the one that the rest is for."""
    pace = Pace()
    rests = [pace.rest_s("ab"[number % 2], True, number * 0.001) for number in range(10)]
    assert rests == [0.0] + [REST_S] * 9


def test_who_has_long_had_no_turn_does_not_count() -> None:
    """A session alone again goes on at full speed."""
    pace = Pace()
    pace.rest_s("other", False, 1.0)
    pace.rest_s("flood", False, 1.0)
    assert pace.rest_s("flood", True, 1.0 + BESIDE_S / 2) == REST_S
    assert pace.rest_s("flood", True, 1.001 + BESIDE_S) == 0.0


def test_a_turn_that_rests_can_be_cancelled_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has begun, though its program has not."""
    monkeypatch.setattr(pacing, "REST_S", 0.2)
    monkeypatch.setattr(pacing, "BESIDE_S", 60.0)

    async def scenario() -> None:
        async with hosting() as bench:
            alice, other = bench.session("alice"), bench.session("other")
            first = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            await bench.ask(other, "o1").answer()
            rests, last = bench.ask(alice, "t2", gate="never"), bench.ask(alice, "t3")
            bench.program.gate("g").open()
            assert (await first.answer())["turn"] == 1
            bench.host.cancel(alice.uid, alice.unit, "t2", "")
            assert await rests.error() == "cancelled"
            assert (await last.answer())["turn"] == 2
            assert bench.program.gate("never").reached == 0

    asyncio.run(scenario())
