"""The caller's end: a line of events that stays short, and one terminal event."""

from __future__ import annotations

import asyncio

from dspex_actors.errors import ProgramFailed
from dspex_actors.resources.turn import TurnEvent
from dspex_actors.sessions.events import Expire, Stalled
from dspex_actors.sessions.waiting import EVENTS_KEPT, TurnWait
from tests.unit.sessions.core import Bench


async def all_of(wait: TurnWait) -> list[TurnEvent]:
    """All events."""
    return [event async for event in wait.events()]


def test_a_reader_that_is_slow_gets_merged_deltas() -> None:
    """The id of a merged event is that of its last."""

    async def scenario() -> None:
        wait = TurnWait("t", streams=True)
        wait.started(1)
        for n in range(2, 1002):
            wait.token(n, "a", "x")
        wait.reply(b"{}", False)
        events = await all_of(wait)
        assert len(events) == EVENTS_KEPT + 1
        assert [event.id for event in events[-2:]] == ["1.1001", "1.1002"]

    asyncio.run(scenario())


def test_a_higher_attempt_voids_what_waits() -> None:
    """The same one again does not."""

    async def scenario() -> None:
        wait = TurnWait("t", streams=True)
        wait.started(1)
        wait.token(2, "a", "old")
        wait.started(1)
        assert (len(wait._events), wait.next_attempt, wait.seen) == (2, 2, (1, 2))
        wait.started(2)
        wait.fail(ProgramFailed("It raised."))
        assert [event.id for event in await all_of(wait)] == ["2.1", "2.2"]

    asyncio.run(scenario())


def test_the_first_outcome_counts() -> None:
    """And a failure that nobody reads is no fault."""

    async def scenario() -> None:
        wait = TurnWait("t", streams=False)
        wait.reply(b"first", False)
        wait.reply(b"second", False)
        wait.fail(ProgramFailed("late"))
        assert (wait.done, (await wait.answer()).body) == (True, b"first")
        TurnWait("u", streams=False).fail(ProgramFailed("unread"))

    asyncio.run(scenario())


def test_who_joins_a_turn_while_the_store_is_away_waits_no_longer_than_its_deadline() -> None:
    """The outcome is unknown then; the others still hear what comes."""
    bench = Bench()
    bench.arrive("first", "key")
    bench.ran()
    bench.tell(Stalled(2))
    bench.arrive("joined", "key")
    bench.arrive("patient", "key")
    bench.tell(Expire(bench.listener("joined"), 3))
    assert bench.error("joined") == "outcome_unknown"
    bench.committed()
    assert bench.answer("patient")["turn"] == 1
    assert len(bench.replies["joined"]) == 1


def test_a_delta_of_which_a_piece_is_missing_is_not_shown() -> None:
    """Its link was lost in the middle of it; the next one brings all of it again."""

    async def scenario() -> None:
        wait = TurnWait("t", streams=True)
        wait.started(1)
        wait.piece("lo", 2, "a", True)
        assert wait.seen == (1, 1)
        wait.started(1)
        wait.piece("long ", 2, "a", True)
        wait.piece("word", 2, "a", False)
        wait.reply(b"{}", False)
        events = await all_of(wait)
        assert [event.id for event in events] == ["1.1", "1.2", "1.3"]
        assert b'"long word"' in events[1].data

    asyncio.run(scenario())


def test_an_attempt_that_the_reader_has_seen_a_later_one_of_is_shown_above_it() -> None:
    """The host goes on counting its own way, and is asked so."""

    async def scenario() -> None:
        wait = TurnWait("t", streams=True, last_event=(3, 7))
        assert (wait.seen, wait.next_attempt) == ((3, 7), 4)
        wait.started(1)
        assert (wait.attempt, wait.seen, wait.next_attempt) == (4, (1, 1), 2)
        wait.token(2, "a", "x")
        wait.started(1)
        assert wait.seen == (1, 2)
        wait.started(2)
        wait.reply(b"{}", False)
        assert [event.id for event in await all_of(wait)] == ["5.1", "5.2"]

    asyncio.run(scenario())
