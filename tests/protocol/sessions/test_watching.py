"""Watching a turn by its id: what a client does that has lost its stream, and does not send the turn again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import orjson
import pytest

from dspex_actors.errors import NotFound, OutcomeUnknown
from dspex_actors.resources.turn import TurnEvent
from dspex_actors.sessions import watching
from tests.protocol.sessions.wiring import serving
from tests.unit.sessions.hosting import until

STARTED, TOKEN, DONE = "turn.started", "token", "turn.completed"


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody sends again is given up soon."""
    monkeypatch.setattr(watching, "RESENT_S", 0.1)
    monkeypatch.setattr(watching, "SETTLE_S", 0.1)


def test_a_watcher_of_a_running_turn_gets_what_was_streamed_and_the_rest() -> None:
    """As if it had been there from the start; the turn runs once."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", stream=True, tokens=3, pause=2)
            await until(lambda: node.program.gate("pause").reached == 1)
            events = wired.watch(alice, "t1")
            assert [(await anext(events)).id for _ in range(3)] == ["1.1", "1.2", "1.3"]
            node.program.gate("pause").open()
            assert [f"{event.id} {event.name}" async for event in events] == ["1.4 token", "1.5 turn.completed"]
            assert ((await turn)["turn"], len(node.program.calls)) == (1, 1)
            await wired.nothing_left()

    asyncio.run(scenario())


@pytest.mark.parametrize("last", [1, 2, 4, 6, 7])
def test_a_stream_resumed_in_the_middle_of_an_attempt_gets_exactly_the_rest(last: int) -> None:
    """Whatever the last event was; before its end as well as after the last token."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", stream=True, tokens=6, gate="g")
            await until(lambda: node.program.gate("g").reached == 1)
            rest = asyncio.ensure_future(wired.watched(alice, "t1", (1, last)))
            await until(lambda: wired.watchers("a") == 1)
            node.program.gate("g").open()
            expected = [*(f"1.{n} {TOKEN}" for n in range(last + 1, 8)), f"1.8 {DONE}"]
            assert await rest == expected
            await turn

    asyncio.run(scenario())


def test_a_stream_resumed_after_its_turn_completed_gets_the_answer_alone() -> None:
    """Numbered after what the reader has; marked as replayed."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            await wired.events(alice, "t1", tokens=3)
            for last, end in (((1, 0), "1.1"), ((1, 3), "1.4"), ((1, 5), "1.6"), ((4, 2), "4.3")):
                (event,) = [event async for event in wired.watch(alice, "t1", last)]
                assert (event.id, event.name, event.replayed) == (end, DONE, True)
                assert orjson.loads(event.data)["turn"] == 1
            assert len(node.program.calls) == 1

    asyncio.run(scenario())


def test_an_answer_of_a_later_attempt_is_numbered_by_that() -> None:
    """A reader of the first sees at its id that what it has is void."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            await wired.events(alice, "t1", do="raise")
            assert await wired.watched(alice, "t1", (1, 1)) == ["1.2 turn.failed"]
            await wired.predict(alice, "t1", do="fine")
            assert await wired.watched(alice, "t1", (1, 1)) == [f"2.1 {DONE}"]

    asyncio.run(scenario())


def test_a_stream_resumed_after_its_turn_failed_gets_the_recorded_failure() -> None:
    """As an event, also where it is the first one; nothing runs again."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            await wired.events(alice, "t1", do="raise")
            for last, end in (((1, 0), "1.1"), ((1, 1), "1.2")):
                (event,) = [event async for event in wired.watch(alice, "t1", last)]
                assert (event.id, event.name) == (end, "turn.failed")
                assert orjson.loads(event.data)["code"] == "program_failed"
            assert len(node.program.calls) == 1

    asyncio.run(scenario())


def test_nobody_watches_a_turn_that_nobody_sent() -> None:
    """Not found, in a session that is in memory and in one that is not."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            for _ in range(2):
                with pytest.raises(NotFound, match="No turn t9"):
                    await wired.watched(alice, "t9")
                await wired.predict(alice, "t1")
            await wired.nothing_left()

    asyncio.run(scenario())


def test_a_watched_turn_that_waits_is_seen_from_its_start() -> None:
    """Nothing comes before; watching does not start it."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            first = wired.begin(alice, "t1", gate="g")
            second = wired.begin(alice, "t2", tokens=1)
            await until(lambda: node.waiters() == 2)
            seen = asyncio.ensure_future(wired.watched(alice, "t2"))
            await until(lambda: wired.watchers("a") == 1)
            node.program.gate("g").open()
            assert await seen == [f"1.1 {STARTED}", f"1.2 {TOKEN}", f"1.3 {DONE}"]
            await asyncio.gather(first, second)

    asyncio.run(scenario())


def test_a_watcher_that_leaves_cancels_nothing_and_leaves_nothing() -> None:
    """However often it comes, and whatever the turn asked for."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", cancel_on_disconnect=True, stream=True, tokens=2, gate="g")
            await until(lambda: node.program.gate("g").reached == 1)
            for _ in range(20):
                events = wired.watch(alice, "t1")
                await anext(events)
                await events.aclose()
            await until(lambda: wired.watchers("a") == 0 and node.waiters() == 1 and not wired.router._watches)
            node.program.gate("g").open()
            assert (await turn)["turn"] == 1

    asyncio.run(scenario())


def test_a_watcher_keeps_no_turn_alive() -> None:
    """A turn that is to end with its client does; the watcher sees how."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", cancel_on_disconnect=True, gate="g")
            await until(lambda: node.program.gate("g").reached == 1)
            events = asyncio.ensure_future(_all(wired.watch(alice, "t1")))
            await until(lambda: wired.watchers("a") == 1)
            turn.cancel()
            assert [event.name for event in await events] == [STARTED, "turn.failed"]
            assert orjson.loads(events.result()[-1].data)["code"] == "cancelled"

    asyncio.run(scenario())


def test_a_watcher_leaves_the_caller_its_deadline() -> None:
    """The turn expires as if nobody looked, with a definite error."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            caller = asyncio.ensure_future(wired.code(alice, "t1", gate="g", timeout_s=0.1))
            await until(lambda: node.program.gate("g").reached == 1)
            assert await wired.watched(alice, "t1") == [f"1.1 {STARTED}", "1.2 turn.failed"]
            assert await caller == "deadline_exceeded"

    asyncio.run(scenario())


def test_a_watcher_whose_time_is_up_is_told_that_the_turn_goes_on() -> None:
    """Before its first event as an error, afterwards as an event."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", gate="g")
            await until(lambda: node.program.gate("g").reached == 1)
            waiting = wired.begin(alice, "t2")
            await until(lambda: node.waiters() == 2)
            with pytest.raises(OutcomeUnknown):
                await _all(wired.watch(alice, "t2", timeout_s=0.05))
            events = await _all(wired.watch(alice, "t1", timeout_s=0.05))
            assert orjson.loads(events[-1].data)["code"] == "outcome_unknown"
            node.program.gate("g").open()
            assert [(await each)["turn"] for each in (turn, waiting)] == [1, 2]

    asyncio.run(scenario())


async def _all(events: AsyncGenerator[TurnEvent]) -> list[TurnEvent]:
    return [event async for event in events]
