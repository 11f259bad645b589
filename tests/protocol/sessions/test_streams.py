"""Streamed turns: tokens over the wire, slow readers, readers that go."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from dspex_actors.errors import DspexError
from dspex_actors.resources.turn import TurnEvent
from dspex_actors.sessions.server import CREDITS, DELTA_CHARS
from tests.protocol.sessions.wiring import serving, text
from tests.unit.sessions.hosting import request, until


def test_a_streamed_turn_starts_tells_and_completes() -> None:
    """Events are numbered from 1, and the last is the answer."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            events = await wired.events(alice, "t1", tokens=3)
            assert [event.id for event in events] == ["1.1", "1.2", "1.3", "1.4", "1.5"]
            assert [event.name for event in events] == ["turn.started", "token", "token", "token", "turn.completed"]
            assert orjson.loads(events[-1].data)["turn"] == 1
            await wired.nothing_left()

    asyncio.run(scenario())


def test_a_streamed_turn_that_fails_ends_in_one_event() -> None:
    """Before its start it raises instead."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            events = await wired.events(alice, "t1", do="raise")
            assert [event.name for event in events] == ["turn.started", "turn.failed"]
            with pytest.raises(DspexError):
                await wired.events(alice, "t2", do="refuse")

    asyncio.run(scenario())


def test_a_turn_does_not_wait_for_a_slow_reader() -> None:
    """It gets merged deltas; few are under way at any time; the text is whole."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            events: list[TurnEvent] = []
            async for event in wired.router.stream(alice, request("t1", stream=True, tokens=5000)):
                if not events:
                    await until(lambda: wired.journal(alice) == [(1, "t1")])
                    await until(lambda: not node.waiters())
                events.append(event)
            assert text(events) == "".join(f"{number} " for number in range(5000))
            assert len(events) <= CREDITS + 4

    asyncio.run(scenario())


def test_no_more_tokens_are_under_way_than_there_are_credits() -> None:
    """The host merges the rest."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            stream = wired.router.stream(alice, request("t1", stream=True, tokens=500, gate="g"))
            await anext(stream)
            (turn,) = wired.router._turns.values()
            (waiter,) = next(iter(node.server._links.values())).values()
            await until(lambda: node.program.gate("g").reached == 1)
            await wired.router.peek(alice)
            assert len(turn.wait._events) <= CREDITS
            assert (waiter._credits >= 0, len(waiter._held) <= 1) == (True, True)
            node.program.gate("g").open()
            assert text([event async for event in stream]) == "".join(f"{number} " for number in range(500))

    asyncio.run(scenario())


def test_a_reader_that_keeps_up_never_runs_out_of_credit() -> None:
    """However long the stream."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            stream = wired.router.stream(alice, request("t1", stream=True, tokens=CREDITS * 5, gate="g"))
            shown = ""
            while not shown.endswith(f" {CREDITS * 5 - 1} "):
                shown += text([await anext(stream)])
            node.program.gate("g").open()
            assert [event.name async for event in stream] == ["turn.completed"]

    asyncio.run(scenario())


def test_a_delta_larger_than_a_frame_arrives_whole() -> None:
    """In pieces, and one event: its id says that all of it is there."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            delta = "".join(f"{number:07}é" for number in range(DELTA_CHARS // 2))
            events = await wired.events(alice, "t1", tokens=2, delta=delta)
            assert (text(events), [event.id for event in events]) == (delta * 2, ["1.1", "1.2", "1.3", "1.4"])

    asyncio.run(scenario())


def test_half_a_character_in_a_delta_does_not_end_the_stream() -> None:
    """A provider may cut a surrogate pair in two."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            events = await wired.events(alice, "t1", tokens=2, do="half")
            assert (text(events), events[-1].name) == ("??", "turn.completed")

    asyncio.run(scenario())


def test_a_reader_that_goes_leaves_nothing_behind() -> None:
    """The turn is recorded, as if it had stayed."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            stream = wired.router.stream(alice, request("t1", stream=True, tokens=5, gate="g"))
            await anext(stream)
            await stream.aclose()
            (left,) = wired.router._turns.values()
            assert not left.wait.streams  # no event is kept for it any more
            node.program.gate("g").open()
            await until(lambda: wired.journal(alice) == [(1, "t1")])
            await wired.nothing_left()

    asyncio.run(scenario())
