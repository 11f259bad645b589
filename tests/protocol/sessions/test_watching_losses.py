"""Watching a turn by its id while its host is lost, its session restarted or deleted, its link cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import orjson
import pytest

from dspex_actors.errors import DspexError, HostLost
from dspex_actors.resources.session import SessionRecord
from dspex_actors.resources.turn import TurnEvent
from dspex_actors.sessions import watching
from tests.protocol.sessions.wiring import Wires, serving, text, wires
from tests.unit.sessions.hosting import request, until

STARTED, TOKEN, DONE = "turn.started", "token", "turn.completed"


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody sends again is given up soon."""
    monkeypatch.setattr(watching, "RESENT_S", 0.1)
    monkeypatch.setattr(watching, "SETTLE_S", 0.1)


def test_a_second_attempt_voids_what_a_watcher_has() -> None:
    """Its host is lost, the caller's router sends the turn again, the watcher follows."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()
            turn = wired.begin(alice, "t1", stream=True, tokens=3, pause=2)
            events = wired.watch(alice, "t1")
            await until(lambda: wired.nodes["a"].program.gate("pause").reached == 1)
            seen = [await anext(events) for _ in range(3)]
            await wired.fail_over("a", "b")
            await until(lambda: wired.watchers("b") == 1)
            wired.nodes["b"].program.gate("pause").open()
            seen += [event async for event in events]
            again = [event.id for event in seen].index("2.1")
            assert (seen[again].name, text(seen[again:]), seen[-1].name) == (STARTED, "0 1 2 ", DONE)
            assert [orjson.loads(event.data)["attempt"] for event in seen if event.name == STARTED] == [1, 2]
            await turn

    asyncio.run(scenario())


@pytest.mark.parametrize("by", ["retry", "watch"])
def test_ids_rise_also_above_an_attempt_that_the_host_does_not_know(by: str) -> None:
    """The last event came from an attempt that was lost with its host, of which nothing is recorded."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", stream=True, tokens=2, gate="g")
            await until(lambda: node.program.gate("g").reached == 1)
            again = request("t1", stream=True, last_event=(3, 7), tokens=2, gate="g")
            events = wired.watch(alice, "t1", (3, 7)) if by == "watch" else wired.router.stream(alice, again)
            assert [(await anext(events)).id for _ in range(3)] == ["4.1", "4.2", "4.3"]
            await events.aclose()
            node.program.gate("g").open()
            await turn
            assert await wired.watched(alice, "t1", (4, 3)) == [f"4.4 {DONE}"]

    asyncio.run(scenario())


def test_a_new_attempt_is_numbered_above_the_last_event_of_who_sends_it() -> None:
    """Nothing is recorded, nobody joined: the reader alone knows."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            events = await _all(wired.router.stream(alice, request("t1", stream=True, last_event=(2, 9), tokens=1)))
            assert [event.id for event in events] == ["3.1", "3.2", "3.3"]
            assert orjson.loads(events[-1].data)["attempts"] == 3

    asyncio.run(scenario())


def test_who_watches_a_turn_that_is_still_at_an_earlier_place_waits_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The new owner does not know it yet, and the router knows why."""
    monkeypatch.setattr(watching, "SETTLE_S", 0.0)

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice, old, new = wired.session("alice", "a"), wired.nodes["a"], wired.nodes["b"]
            wired.settle()
            turn = wired.begin(alice, "t1", gate="g")
            await until(lambda: old.program.gate("g").reached == 1)
            wired.store.take_over(wired.leases("a"), "b")
            wired.settle()
            seen = asyncio.ensure_future(wired.watched(alice, "t1"))
            for _ in range(3):
                await wired.router.peek(alice)
            assert not seen.done()
            old.program.gate("g").open()
            await until(lambda: wired.watchers("b") == 1)
            new.program.gate("g").open()
            assert ((await seen)[-1].endswith(DONE), (await turn)["turn"]) == (True, 1)

    asyncio.run(scenario())


def test_a_turn_that_was_lost_and_that_nobody_sends_again_ends_for_its_watcher() -> None:
    """In an event for one who has begun to read, else in an error; nothing of it is in the session."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = await _lost_with_its_router(wired)
            events = await _all(wired.watch(alice, "t1", (1, 2)))
            raise AssertionError(events)

    with pytest.raises(HostLost, match="Send it again with the same"):
        asyncio.run(scenario())


def test_a_watcher_that_saw_the_loss_gets_one_terminal_event() -> None:
    """The same sentence, as `turn.failed`."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()
            turn = wired.begin(alice, "t1", stream=True, tokens=1, gate="g")
            events = wired.watch(alice, "t1")
            seen = [await anext(events) for _ in range(2)]
            (number,) = wired.router._turns
            wired.router._forget(number)  # as if its replica had died
            await wired.fail_over("a", "b")
            seen += [event async for event in events]
            assert [event.id for event in seen] == ["1.1", "1.2", "1.3"]
            assert (seen[-1].name, orjson.loads(seen[-1].data)["code"]) == ("turn.failed", "host_lost")
            turn.cancel()

    asyncio.run(scenario())


def test_a_turn_that_is_sent_again_within_the_patience_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The retry of a client that has lost its replica comes later than the new owner."""
    monkeypatch.setattr(watching, "RESENT_S", 3.0)

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = await _lost_with_its_router(wired)
            wired.nodes["b"].program.gate("g").open()
            events = asyncio.ensure_future(wired.watched(alice, "t1", (1, 2)))
            await until(lambda: bool(wired.router._watches) or events.done())
            again = request("t1", stream=True, last_event=(1, 2), tokens=1, gate="g")
            assert (await _all(wired.router.stream(alice, again)))[-1].name == DONE
            assert (await events)[-1].endswith(DONE)

    asyncio.run(scenario())


def test_a_failure_of_an_earlier_attempt_is_not_the_end_of_a_lost_one() -> None:
    """The first attempt failed; the second was lost with its host."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            await wired.code(alice, "t1", do="raise")
            with pytest.raises(HostLost):
                await wired.watched(alice, "t1", (2, 3))

    asyncio.run(scenario())


def test_a_watcher_of_a_session_that_is_deleted_is_told() -> None:
    """What runs in it is not recorded any more."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", gate="g", stream=True)
            events = wired.watch(alice, "t1")
            await anext(events)
            wired.store.delete_session(alice.tenant, alice.id)
            node.program.gate("g").open()
            (end,) = [event async for event in events]
            assert (end.name, orjson.loads(end.data)["code"]) == ("turn.failed", "not_found")
            with pytest.raises(DspexError):
                await turn

    asyncio.run(scenario())


def test_a_watcher_of_a_restarted_session_is_told_with_the_others() -> None:
    """A definite error."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = asyncio.ensure_future(wired.code(alice, "t1", gate="g"))
            await until(lambda: node.program.gate("g").reached == 1)
            events = asyncio.ensure_future(_all(wired.watch(alice, "t1")))
            await until(lambda: wired.watchers("a") == 1)
            await wired.router.restart(alice)
            assert orjson.loads((await events)[-1].data)["code"] == await turn == "cancelled"
            await wired.nothing_left()

    asyncio.run(scenario())


def test_a_cut_link_costs_a_watcher_no_token_and_shows_none_twice() -> None:
    """It asks again, from where it was."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", stream=True, tokens=50, pause=25)
            seen: list[TurnEvent] = []
            async for event in wired.watch(alice, "t1"):
                seen.append(event)
                if len(seen) in (5, 15):
                    await wired.cut("a")
                if len(seen) == 26:
                    node.program.gate("pause").open()
            assert [event.id for event in seen] == [f"1.{n}" for n in range(1, 53)]
            assert (await turn)["attempts"] == 1

    asyncio.run(scenario())


async def _all(events: AsyncGenerator[TurnEvent]) -> list[TurnEvent]:
    return [event async for event in events]


async def _lost_with_its_router(wired: Wires) -> SessionRecord:
    """A session whose turn t1 ran on a host that is lost, and whose router is, too."""
    alice = wired.session("alice", "a")
    wired.settle()
    wired.begin(alice, "t1", stream=True, tokens=1, gate="g").add_done_callback(_ignore)
    await until(lambda: wired.nodes["a"].program.gate("g").reached == 1)
    (number,) = wired.router._turns
    wired.router._forget(number)
    await wired.fail_over("a", "b")
    return alice


def _ignore(_turn: object) -> None:
    """Nobody waits for it any more."""
