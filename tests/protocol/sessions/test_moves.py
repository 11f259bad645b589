"""Planned moves under the eyes of a router: no turn fails, none runs twice, the order stays."""

from __future__ import annotations

import asyncio

from dspex_actors.sessions.router import Router
from tests.protocol.sessions.wiring import Wires, text, wires
from tests.unit.sessions.hosting import request, until


def numbers(wired: Wires) -> list[int]:
    """How many turns each host's program has run."""
    return [len(node.program.calls) for node in wired.nodes.values()]


def test_a_unit_moves_between_two_turns() -> None:
    """The second one sees the first, on the other host."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()
            await wired.predict(alice, "t1")
            await wired.hand_over("a", "b")
            answer = await wired.predict(alice, "t2")
            assert (answer["turn"], answer["outputs"]["seen"], numbers(wired)) == (2, ["t1"], [1, 1])

    asyncio.run(scenario())


def test_a_busy_session_stays_until_its_turn_ends_and_what_waits_goes_on_elsewhere_in_order() -> None:
    """The running turn is not run again; nothing overtakes it."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice, first = wired.session("alice", "a"), wired.nodes["a"]
            wired.settle()
            turns = [wired.begin(alice, f"t{number}", gate="g") for number in range(4)]
            await until(lambda: first.waiters() == 4 and first.program.gate("g").reached == 1)
            wired.nodes["b"].program.gate("g").open()
            await wired.hand_over("a", "b")
            assert wired.journal(alice) == []
            home = asyncio.ensure_future(first.host.handover.news(0))
            first.program.gate("g").open()
            await home
            wired.settle()
            answers = [await turn for turn in turns]
            assert [answer["turn"] for answer in answers] == [1, 2, 3, 4]
            assert (numbers(wired), answers[3]["outputs"]["seen"]) == ([1, 3], ["t0", "t1", "t2"])
            await wired.nothing_left()

    asyncio.run(scenario())


def test_a_streamed_turn_goes_on_in_one_attempt_while_its_unit_leaves() -> None:
    """Its reader notices nothing."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice, first, seen = wired.session("alice", "a"), wired.nodes["a"], []
            wired.settle()
            async for event in wired.router.stream(alice, request("t1", stream=True, tokens=50, gate="g")):
                seen.append(event)
                if len(seen) == 3:
                    await wired.hand_over("a", "b")
                    first.program.gate("g").open()
            assert text(seen) == "".join(f"{number} " for number in range(50))
            assert [event.name for event in seen if event.name != "token"] == ["turn.started", "turn.completed"]

    asyncio.run(scenario())


def test_a_pin_with_a_stale_router_still_lets_turns_reach_the_session() -> None:
    """It is told to look elsewhere until it has the table; so is one that thinks the pin still holds."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()
            await wired.predict(alice, "t1")
            known = wired.router.table
            await wired.move(alice, "b")
            stale = Router(wired.store.store_id, wired.store.stream_key)
            stale.update(known)
            await until(lambda: stale._is_up("a") and stale._is_up("b"))
            turn = asyncio.ensure_future(stale.predict(alice, request("t2")))
            await until(lambda: any(each.sent and each.link is None for each in stale._turns.values()))
            stale.update(wired.router.table)
            assert b'"turn":2' in (await turn).body
            await wired.move(alice, None)
            turn = asyncio.ensure_future(stale.predict(alice, request("t3")))
            await until(lambda: any(each.sent and each.link is None for each in stale._turns.values()))
            stale.update(wired.router.table)
            assert b'"turn":3' in (await turn).body
            await stale.close()

    asyncio.run(scenario())


def test_a_pinned_sessions_neighbours_stay_where_they_are() -> None:
    """Of one shard, one session moves."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            bob = wired.session("bob", "a")
            wired.settle()
            await wired.move(alice, "b")
            await wired.predict(alice, "t1")
            await wired.predict(bob, "t1")
            assert numbers(wired) == [1, 1]
            assert (wired.router.place(alice).host, wired.router.place(bob).host) == ("b", "a")

    asyncio.run(scenario())


def test_a_pinned_session_is_its_shards_again_when_its_host_is_lost() -> None:
    """Nothing of it is lost with the host."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()
            await wired.move(alice, "b")
            await wired.predict(alice, "t1")
            wired.alive.remove("b")
            await wired.nodes["b"].server.close()
            wired.store.inherit("b", "a")
            wired.settle()
            answer = await wired.predict(alice, "t2")
            assert (answer["turn"], answer["outputs"]["seen"], wired.router.place(alice).host) == (2, ["t1"], "a")

    asyncio.run(scenario())


def test_turns_under_way_while_a_unit_goes_to_and_fro_each_happen_once() -> None:
    """Sixty turns in one session, ten moves."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()

            async def talk() -> list[int]:
                return [(await wired.predict(alice, f"t{number}"))["turn"] for number in range(60)]

            talking = asyncio.ensure_future(talk())
            for number in range(10):
                before = len(wired.journal(alice))
                await until(lambda before=before: len(wired.journal(alice)) > before or talking.done())  # type: ignore[misc]
                await wired.hand_over(*(("a", "b") if number % 2 == 0 else ("b", "a")))
                await until(lambda: wired.is_home(alice))
            assert await talking == list(range(1, 61))
            assert [turn for turn, _ in wired.journal(alice)] == list(range(1, 61))
            assert sum(numbers(wired)) == 60

    asyncio.run(scenario())
