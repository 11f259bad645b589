"""Links are cut and hosts are lost: no acknowledged turn is, and none happens twice."""

from __future__ import annotations

import asyncio

import pytest

from dspex_actors.errors import Moved
from dspex_actors.sessions.activation import Ask
from dspex_actors.sessions.events import Waiter
from tests.protocol.sessions.wiring import serving, text, wires
from tests.unit.sessions.hosting import request, until


def test_a_cut_link_does_not_cost_the_answer() -> None:
    """The router connects again and joins the running turn."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            turn = wired.begin(alice, "t1", gate="g")
            await until(lambda: node.program.gate("g").reached == 1)
            await wired.cut("a")
            node.program.gate("g").open()
            assert (await turn)["turn"] == 1
            assert (wired.journal(alice), len(node.program.calls)) == ([(1, "t1")], 1)
            await wired.nothing_left()

    asyncio.run(scenario())


def test_a_cut_link_shows_no_token_twice() -> None:
    """The same attempt goes on where it was."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            events = []
            async for event in wired.router.stream(alice, request("t1", stream=True, tokens=100, gate="g")):
                events.append(event)
                if len(events) == 3:
                    await wired.cut("a")
                    node.program.gate("g").open()
            assert text(events) == "".join(f"{number} " for number in range(100))
            assert [event.name for event in events].count("turn.started") == 1

    asyncio.run(scenario())


def test_a_lost_host_hands_its_turns_to_the_next_in_order() -> None:
    """Running and waiting ones; numbers without gaps, each once; the zombie's late commit changes nothing."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice, zombie = wired.session("alice", "a"), wired.nodes["a"]
            wired.settle()
            await wired.predict(alice, "t0")
            turns = [wired.begin(alice, f"t{number}", gate="g") for number in range(1, 6)]
            await until(lambda: zombie.waiters() == 5 and zombie.program.gate("g").reached == 1)
            wired.nodes["b"].program.gate("g").open()
            await wired.fail_over("a", "b")
            answers = [await turn for turn in turns]
            assert [(answer["turn"], answer["attempts"]) for answer in answers] == [(n, 2) for n in range(2, 7)]
            zombie.program.gate("g").open()
            await until(lambda: not zombie.host._active)
            assert wired.journal(alice) == [(number + 1, f"t{number}") for number in range(6)]

    asyncio.run(scenario())


def test_what_comes_during_a_failover_goes_after_what_was_there() -> None:
    """Also when the old host is already gone from the table and the new one has no lease yet."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()
            before = wired.begin(alice, "t1", gate="g")
            await until(lambda: wired.nodes["a"].program.gate("g").reached == 1)
            wired.alive.remove("a")
            wired.publish()
            during = wired.begin(alice, "t2")
            wired.nodes["b"].program.gate("g").open()
            wired.store.take_over(wired.leases("a"), "b")
            wired.publish()
            after = wired.begin(alice, "t3")
            await until(lambda: wired.nodes["b"].waiters() == 3)
            wired.settle()
            assert [(await turn)["turn"] for turn in (before, during, after)] == [1, 2, 3]

    asyncio.run(scenario())


def test_what_was_committed_before_the_loss_is_replayed_after_it() -> None:
    """The answer was lost, the turn was not."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice, lost = wired.session("alice", "a"), wired.nodes["a"]
            wired.settle()
            await until(lambda: len(lost.server._links) == 1)
            (link,) = lost.server._links
            send, link.send = link.send, lambda *_, **__: None  # type: ignore[method-assign]
            turn = wired.begin(alice, "t1")
            await until(lambda: wired.journal(alice) == [(1, "t1")])
            link.send = send  # type: ignore[method-assign]
            await wired.fail_over("a", "b")
            assert ((await turn)["turn"], turn.result()["replayed"]) == (1, True)
            assert wired.nodes["b"].program.calls == []

    asyncio.run(scenario())


def test_a_stale_table_is_followed_by_a_newer_one() -> None:
    """The old host says that it moved; the turn waits for the news."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()
            await wired.predict(alice, "t1")
            wired.store.take_over(wired.leases("a"), "b")
            turn = wired.begin(alice, "t2")
            await until(lambda: not wired.nodes["a"].host._active)
            newer = wired.begin(alice, "t3")
            wired.nodes["a"].host.disown([alice.unit])
            wired.settle()
            assert [(await turn)["turn"], (await newer)["turn"]] == [2, 3]

    asyncio.run(scenario())


def test_t2_is_not_before_t1_that_was_sent_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it waits to be sent again, newer ones of its session wait behind it."""
    sent_back: list[Ask] = []

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            take = node.host.ask

            def ask(ask: Ask, waiter: Waiter) -> None:
                if sent_back:
                    take(ask, waiter)
                else:
                    sent_back.append(ask)
                    waiter.fail(Moved("Not yet."))

            monkeypatch.setattr(node.host, "ask", ask)
            older = wired.begin(alice, "t1")
            await until(lambda: any(turn.sent and turn.link is None for turn in wired.router._turns.values()))
            newer = wired.begin(alice, "t2")
            assert [(await older)["turn"], (await newer)["turn"]] == [1, 2]

    asyncio.run(scenario())


def test_t2_is_not_before_t1_that_is_still_at_an_earlier_place() -> None:
    """It must come back first; what is newer waits for it, though its host is known."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice, old, new = wired.session("alice", "a"), wired.nodes["a"], wired.nodes["b"]
            wired.settle()
            older = wired.begin(alice, "t1", gate="g")
            await until(lambda: old.program.gate("g").reached == 1)
            new.program.gate("g").open()
            wired.store.take_over(wired.leases("a"), "b")
            wired.settle()
            newer = wired.begin(alice, "t2")
            await until(lambda: "t2" in {turn.ask.turn.turn_id for turn in wired.router._turns.values()})
            await wired.router.peek(alice)
            assert new.waiters() == 0
            old.program.gate("g").open()
            assert [(await older)["turn"], (await newer)["turn"]] == [1, 2]

    asyncio.run(scenario())


def test_a_host_that_gave_a_unit_up_says_so_at_once() -> None:
    """It does not wait for a lease that it has had."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice, old = wired.session("alice", "a"), wired.nodes["a"]
            wired.settle()
            wired.store.take_over(wired.leases("a"), "b")
            old.host.disown([alice.unit])
            turn = wired.begin(alice, "t1")
            await until(lambda: any(each.sent and each.link is None for each in wired.router._turns.values()))
            assert len(old.host._tenure._wait) == 0
            wired.settle()
            assert (await turn)["turn"] == 1

    asyncio.run(scenario())


def test_a_stream_goes_on_at_the_next_host_with_a_higher_attempt() -> None:
    """What was shown is void; the text of the last attempt is whole."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()
            wired.nodes["b"].program.gate("g").open()
            events = []
            async for event in wired.router.stream(alice, request("t1", stream=True, tokens=5, gate="g")):
                events.append(event)
                if len(events) == 3:
                    await wired.fail_over("a", "b")
            again = next(i for i, event in enumerate(events) if event.id == "2.1")
            assert text(events[again:]) == "0 1 2 3 4 "
            assert [event.name for event in events].count("turn.completed") == 1

    asyncio.run(scenario())


def test_a_stream_whose_host_lost_its_lease_starts_again_with_a_higher_attempt() -> None:
    """The same attempt never starts twice before a client's eyes."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()
            wired.nodes["b"].program.gate("g").open()
            ids = []
            async for event in wired.router.stream(alice, request("t1", stream=True, tokens=1, gate="g")):
                ids.append(event.id)
                if len(ids) == 2:
                    wired.store.take_over(wired.leases("a"), "b")
                    wired.settle()
                    wired.nodes["a"].host.disown([alice.unit])
            assert ids == ["1.1", "1.2", "2.1", "2.2", "2.3"]

    asyncio.run(scenario())


def test_a_turn_whose_client_has_gone_outlives_its_host() -> None:
    """Nobody waits for it, and still the next host runs it to its end."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()
            turn = wired.begin(alice, "t1", gate="g")
            await until(lambda: wired.nodes["a"].program.gate("g").reached == 1)
            turn.cancel()
            await asyncio.wait([turn])
            wired.nodes["b"].program.gate("g").open()
            await wired.fail_over("a", "b")
            await until(lambda: wired.journal(alice) == [(1, "t1")])
            await wired.nothing_left()

    asyncio.run(scenario())
