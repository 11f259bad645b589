"""Turns from a router to a host and back, over a real socket."""

from __future__ import annotations

import asyncio

import pytest

from dspex_actors.errors import NoCapacity, OutcomeUnknown
from dspex_actors.resources.turn import TurnAnswer
from dspex_actors.sessions import router as router_module
from dspex_actors.sessions.frames import PIECE_BYTES
from tests.protocol.sessions.wiring import serving, wires
from tests.unit.sessions.hosting import request, until


def test_turns_are_answered_and_recorded() -> None:
    """And nothing of them stays in any table."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            assert (await wired.predict(alice, "t1"))["turn"] == 1
            assert (await wired.predict(alice, "t2"))["outputs"]["seen"] == ["t1"]
            assert wired.journal(alice) == [(1, "t1"), (2, "t2")]
            await wired.nothing_left()

    asyncio.run(scenario())


def test_a_retry_joins_or_replays() -> None:
    """The program runs once; the replay says that it is one."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            twice = [wired.begin(alice, "t1", gate="g"), wired.begin(alice, "t1", gate="g")]
            await until(lambda: node.waiters() == 2 and node.program.gate("g").reached == 1)
            node.program.gate("g").open()
            first, second = await asyncio.gather(*twice)
            assert (first, first["replayed"]) == (second, False)
            assert await wired.predict(alice, "t1", gate="g") == {**first, "replayed": True}
            assert len(node.program.calls) == 1

    asyncio.run(scenario())


def test_errors_keep_their_code_and_their_sentence() -> None:
    """Over the wire they are problems."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            assert await wired.code(alice, "t1", do="raise") == "program_failed"
            assert await wired.code(alice, "t2", do="refuse") == "invalid_request"
            assert await wired.code(alice, "t3", expected_turn=7) == "precondition_failed"
            assert await wired.code(alice, "t4", gate="g", timeout_s=0.05) == "deadline_exceeded"
            wired.store.delete_session("default", "alice")
            bob = wired.session("bob", "a")
            assert await wired.code(bob, "t1", timeout_s=0.05) == "deadline_exceeded"
            await wired.nothing_left()

    asyncio.run(scenario())


def test_a_large_turn_is_not_overtaken_by_a_small_one_of_its_session() -> None:
    """Its pieces let others pass, not those that came after it."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            turns = [
                wired.begin(alice, "large", q="x" * PIECE_BYTES * 20),
                wired.begin(alice, "small"),
                wired.begin(alice, "large again", q="y" * PIECE_BYTES * 5),
            ]
            assert [(await turn)["turn"] for turn in turns] == [1, 2, 3]

    asyncio.run(scenario())


def test_a_client_that_goes_leaves_the_turn_running_and_nothing_behind() -> None:
    """The turn is recorded."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", gate="g")
            await until(lambda: node.program.gate("g").reached == 1)
            turn.cancel()
            await asyncio.wait([turn])
            node.program.gate("g").open()
            await until(lambda: wired.journal(alice) == [(1, "t1")])
            await wired.nothing_left()

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [1, PIECE_BYTES * 3])
def test_a_client_that_goes_cancels_the_turn_that_asked_for_it(size: int) -> None:
    """Whatever it is doing: nothing of it is recorded."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            await wired.predict(alice, "t0")
            turn = wired.begin(alice, "t1", q="x" * size, gate="g", cancel_on_disconnect=True)
            await until(lambda: bool(wired.router._turns))
            turn.cancel()
            await wired.nothing_left()
            node.program.gate("g").open()
            assert (await wired.predict(alice, "t2"))["turn"] == 2

    asyncio.run(scenario())


def test_without_a_host_a_turn_ends_in_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Definitely: it was never sent."""
    monkeypatch.setattr(router_module, "GRACE_S", 0.01)

    async def scenario() -> None:
        async with wires() as wired:
            alice = wired.session("alice", "nobody")
            assert wired.router.unready() == ["hosts"]
            assert await wired.code(alice, "t1", timeout_s=0.02) == "deadline_exceeded"
            await wired.nothing_left()

    asyncio.run(scenario())


def test_a_silent_host_makes_the_outcome_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn was sent, and may have run."""
    monkeypatch.setattr(router_module, "GRACE_S", 0.01)

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            monkeypatch.setattr(node.host, "ask", lambda *_: None)
            assert await wired.code(alice, "t1", timeout_s=0.02) == "outcome_unknown"
            assert wired.router._turns == {}

    asyncio.run(scenario())


def test_a_turn_waits_for_a_lease_that_comes_later() -> None:
    """The router's table was faster than the host's news."""

    async def scenario() -> None:
        async with wires("a") as wired:
            alice = wired.session("alice", "a")
            wired.publish()
            early = wired.begin(alice, "t1")
            await until(lambda: wired.nodes["a"].waiters() == 1)
            wired.nodes["a"].host.own(wired.leases("a"))
            assert (await early)["turn"] == 1

    asyncio.run(scenario())


def test_closing_the_router_leaves_no_caller_waiting() -> None:
    """Outcomes that are not here stay unknown."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", gate="g")
            await until(lambda: node.program.gate("g").reached == 1)
            await wired.router.close()
            with pytest.raises(OutcomeUnknown):
                await turn

    asyncio.run(scenario())


def test_a_peek_tells_what_a_session_does() -> None:
    """`passive` when it is in no host's memory."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            assert await wired.router.peek(alice) == ("passive", 0)
            turn = wired.begin(alice, "t1", gate="g")
            await until(lambda: node.program.gate("g").reached == 1)
            assert await wired.router.peek(alice) == ("busy", 0)
            node.program.gate("g").open()
            await turn
            assert await wired.router.peek(alice) == ("idle", 0)

    asyncio.run(scenario())


def test_a_restart_reaches_the_session_on_its_host() -> None:
    """What ran in it is cancelled; it wakes anew with the next turn, and the restart is counted."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = asyncio.ensure_future(wired.code(alice, "t1", gate="g"))
            await until(lambda: node.program.gate("g").reached == 1)
            await wired.router.restart(alice)
            assert await turn == "cancelled"
            assert await wired.router.peek(alice) == ("passive", 1)
            assert (await wired.predict(alice, "t2"))["turn"] == 1
            await wired.nothing_left()

    asyncio.run(scenario())


def test_a_restart_that_no_host_can_do_says_so() -> None:
    """It is not silently left out."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            node.host.disown([alice.unit])
            with pytest.raises(NoCapacity, match="Try again"):
                await wired.router.restart(alice)

    asyncio.run(scenario())


def test_a_thousand_turns_at_once_are_each_answered_once() -> None:
    """200 sessions, five turns each; the numbers have no gap."""

    async def scenario() -> None:
        async with wires("a") as wired:
            records = [wired.session(f"s{number}", "a") for number in range(200)]
            wired.settle()
            turns = [(record, f"t{number}") for number in range(5) for record in records]
            answers = await asyncio.gather(*(wired.router.predict(rec, request(t, timeout_s=30)) for rec, t in turns))
            assert all(isinstance(answer, TurnAnswer) for answer in answers)
            for record in records:
                assert wired.journal(record) == [(number + 1, f"t{number}") for number in range(5)]
            await wired.nothing_left()

    asyncio.run(scenario())
