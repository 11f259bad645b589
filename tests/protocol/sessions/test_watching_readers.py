"""Watchers that are slow, that come and go, and retries that join a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from dspex_actors.resources.turn import TurnEvent
from dspex_actors.sessions.server import CREDITS
from tests.protocol.sessions.wiring import serving, text
from tests.unit.sessions.hosting import request, until

STARTED, TOKEN, DONE = "turn.started", "token", "turn.completed"


def test_a_watcher_that_takes_nothing_slows_no_turn_and_gets_the_end() -> None:
    """Few events are under way or kept; the host merges the rest; the text is whole."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            gate = node.program.gate("pause")
            turn = wired.begin(alice, "t1", stream=True, tokens=5000, pause=1)
            await until(lambda: gate.reached == 1)
            events = wired.watch(alice, "t1")
            seen = [await anext(events)]
            gate.open()
            assert (await turn)["turn"] == 1
            await until(lambda: not wired.router._watches)
            seen += [event async for event in events]
            assert text(seen) == "".join(f"{number} " for number in range(5000))
            assert (len(seen) <= CREDITS + 4, seen[-1].id) == (True, "1.5002")

    asyncio.run(scenario())


def test_a_watcher_that_keeps_up_never_runs_out_of_credit() -> None:
    """However long the stream."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", stream=True, tokens=CREDITS * 5, pause=1, gate="g")
            await until(lambda: node.program.gate("pause").reached == 1)
            events = wired.watch(alice, "t1")
            shown = text([await anext(events), await anext(events)])
            node.program.gate("pause").open()
            while not shown.endswith(f" {CREDITS * 5 - 1} "):
                shown += text([await anext(events)])
            node.program.gate("g").open()
            assert [event.name async for event in events] == [DONE]
            await turn

    asyncio.run(scenario())


def test_a_reader_that_comes_and_goes_sees_each_token_once_and_one_end() -> None:
    """Each connection takes a few events and breaks."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", stream=True, tokens=200, gate="g")
            await until(lambda: node.program.gate("g").reached == 1)
            seen, last = list[TurnEvent](), (1, 0)
            while len(seen) < 201:
                events = wired.watch(alice, "t1", last)
                seen += [await anext(events) for _ in range(min(len(seen) % 7 + 1, 201 - len(seen)))]
                await events.aclose()
                last = (1, int(seen[-1].id.partition(".")[2]))
            node.program.gate("g").open()
            seen += await _all(wired.watch(alice, "t1", last))
            assert text(seen) == "".join(f"{number} " for number in range(200))
            assert [event.name for event in seen if event.name != TOKEN] == [STARTED, DONE]
            assert [event.id for event in seen] == [f"1.{n}" for n in range(1, 203)]
            await turn
            await wired.nothing_left()

    asyncio.run(scenario())


def test_a_retry_joins_a_streaming_turn_with_its_tokens() -> None:
    """All of them, or those that it has not seen; both callers get the one answer."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            first = asyncio.ensure_future(wired.events(alice, "t1", tokens=4, gate="g"))
            await until(lambda: node.program.gate("g").reached == 1)
            whole = wired.router.stream(alice, request("t1", stream=True, tokens=4, gate="g"))
            rest = wired.router.stream(alice, request("t1", stream=True, last_event=(1, 3), tokens=4, gate="g"))
            assert [(await anext(whole)).id for _ in range(5)] == [f"1.{n}" for n in range(1, 6)]
            assert [(await anext(rest)).id for _ in range(2)] == ["1.4", "1.5"]
            node.program.gate("g").open()
            ends = [await first, await _all(whole), await _all(rest)]
            assert {events[-1].data for events in ends} == {ends[0][-1].data}
            assert len(node.program.calls) == 1

    asyncio.run(scenario())


async def _all(events: AsyncGenerator[TurnEvent]) -> list[TurnEvent]:
    return [event async for event in events]
