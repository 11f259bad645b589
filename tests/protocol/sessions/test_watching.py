"""Watching a turn by its id: what a client does that has lost its stream, and does not send the turn again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import orjson
import pytest

from dspex_actors.errors import DspexError, HostLost, NotFound, OutcomeUnknown
from dspex_actors.resources.session import SessionRecord
from dspex_actors.resources.turn import TurnEvent
from dspex_actors.sessions import watching
from dspex_actors.sessions.server import CREDITS
from tests.protocol.sessions.wiring import Wires, serving, text, wires
from tests.unit.sessions.hosting import request, until

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


# Hosts are lost --------------------------------------------------------------------------------------------------
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


# Readers that are slow, and readers that come and go -------------------------------------------------------------
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
