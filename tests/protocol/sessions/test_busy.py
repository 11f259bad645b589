"""Busy policies and cancelling, through the router, and when hosts are lost meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from dspex_actors.errors import NoCapacity
from dspex_actors.resources.turn import Cancellation
from dspex_actors.sessions import cancelling
from dspex_actors.sessions.activation import Ask
from dspex_actors.sessions.frames import PIECE_BYTES
from tests.protocol.sessions.wiring import serving, wires
from tests.unit.sessions.hosting import Heard, request, until


@pytest.mark.parametrize("turn_id", [None, "t1"])
def test_cancelling_reaches_the_turn_on_its_host(turn_id: str | None) -> None:
    """Its waiters hear it; the next turn gets its number; asked again it is the same."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = asyncio.ensure_future(wired.code(alice, "t1", gate="g"))
            await until(lambda: node.program.gate("g").reached == 1)
            assert await wired.router.cancel(alice, turn_id, "key") == Cancellation(("t1",))
            assert await turn == "cancelled"
            assert (await wired.predict(alice, "t2"))["turn"] == 1
            assert (await wired.router.cancel(alice, turn_id, "key")).cancelled == ("t1",)
            await wired.nothing_left()

    asyncio.run(scenario())


def test_cancelling_does_not_overtake_a_turn_that_is_being_sent() -> None:
    """However large the turn is."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            await wired.predict(alice, "t0")
            turn = asyncio.ensure_future(wired.code(alice, "t1", q="x" * PIECE_BYTES * 20, gate="g"))
            await until(lambda: bool(wired.router._turns))
            assert await wired.router.cancel(alice, "t1", "") == Cancellation(("t1",))
            assert await turn == "cancelled"
            await wired.nothing_left()

    asyncio.run(scenario())


def test_a_turn_that_waits_for_its_next_host_can_be_cancelled() -> None:
    """The call waits with it."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice, lost = wired.session("alice", "a"), wired.nodes["a"]
            wired.settle()
            turn = asyncio.ensure_future(wired.code(alice, "t1", gate="g"))
            await until(lambda: lost.program.gate("g").reached == 1)
            await lost.server.close()
            await until(lambda: not wired.router._is_up("a"))
            cancelled = asyncio.ensure_future(wired.router.cancel(alice, "t1", ""))
            await wired.fail_over("a", "b")
            assert await cancelled == Cancellation(("t1",))
            assert await turn == "cancelled"

    asyncio.run(scenario())


def test_a_turn_that_waits_for_an_older_one_to_leave_the_old_host_can_be_cancelled() -> None:
    """Nothing overtakes, so the router still holds it; the new host alone would not know it."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice, old, new = wired.session("alice", "a"), wired.nodes["a"], wired.nodes["b"]
            wired.settle()
            await wired.ready("b")
            older = wired.begin(alice, "t1", gate="g")
            await until(lambda: old.program.gate("g").reached == 1)
            new.host.own(wired.store.take_over(wired.leases("a"), "b"))
            wired.publish()
            newer = asyncio.ensure_future(wired.code(alice, "t2", gate="g"))
            cancelled = asyncio.ensure_future(wired.router.cancel(alice, "t2", ""))
            await until(lambda: len(wired.router._turns) == 2)
            old.host.disown([alice.unit])
            assert await cancelled == Cancellation(("t2",))
            assert await newer == "cancelled"
            new.program.gate("g").open()
            assert (await older)["turn"] == 1

    asyncio.run(scenario())


def test_cancelling_without_a_host_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not silently left out."""
    monkeypatch.setattr(cancelling, "PATIENCE_S", 0.0)

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            node.host.disown([alice.unit])
            with pytest.raises(NoCapacity, match="Try again"):
                await wired.router.cancel(alice, None, "")

    asyncio.run(scenario())


def test_a_session_that_rejects_lets_a_turn_in_that_comes_again_from_a_lost_host() -> None:
    """Also when another replica's turn was there first: its client sees one slow answer. New ones are refused."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice, lost, heir = wired.session("alice", "a", "reject"), wired.nodes["a"], wired.nodes["b"]
            wired.settle()
            running = wired.begin(alice, "t2", gate="g")
            await until(lambda: lost.program.gate("g").reached == 1)
            heir.host.own(wired.store.take_over(wired.leases("a"), "b"))
            first = Heard()
            heir.host.ask(Ask(alice.uid, alice.unit, 2, 1, request("t3", gate="g")), first)
            await until(lambda: heir.program.gate("g").reached == 1)
            await wired.fail_over("a", "b")
            await until(lambda: heir.waiters() == 1)
            assert await wired.code(alice, "t4") == "session_busy"
            heir.program.gate("g").open()
            assert [(await first.answer())["turn"], (await running)["turn"]] == [1, 2]

    asyncio.run(scenario())


def test_a_turn_whose_link_was_cut_does_not_interrupt_itself() -> None:
    """It comes again, and joins."""

    async def scenario() -> None:
        async with wires("a") as wired:
            alice, node = wired.session("alice", "a", "interrupt"), wired.nodes["a"]
            wired.settle()
            old = asyncio.ensure_future(wired.code(alice, "t0", gate="g"))
            await until(lambda: node.program.gate("g").reached == 1)
            turn = wired.begin(alice, "t1", gate="g")
            assert await old == "cancelled"
            await until(lambda: node.program.gate("g").reached == 2)
            await wired.cut("a")
            node.program.gate("g").open()
            assert (await turn)["turn"] == 1

    asyncio.run(scenario())
