"""Turns that kill their hosts: two losses, then alone, then refused; and the innocent that were there too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.router import Router
from tests.protocol.sessions.wiring import Wires, wires
from tests.unit.sessions.hosting import until

POISON = {"gate": "poison"}


@asynccontextmanager
async def suspicious(*names: str) -> AsyncIterator[tuple[Wires, SessionRecord]]:
    """Hosts that know of each other, as under placement, the first of which owns a session."""
    async with wires(*names) as wired:
        alice = wired.session("alice", names[0])
        for name in names:
            wired.nodes[name].host.suspects.seek = lambda uid, shard: None
        wired.settle()
        yield wired, alice


async def runs(wired: Wires, name: str, gate: str = "poison") -> None:
    """Until a turn runs there."""
    await until(lambda: wired.nodes[name].program.gate(gate).reached > 0)


async def put_on_probation(wired: Wires, alice: SessionRecord, source: str, target: str) -> None:
    """What placement does when a host asks for it."""
    await until(lambda: wired.nodes[source].host.suspects.is_held(alice.uid))
    wired.nodes[target].host.suspects.put_on_probation(alice.uid)
    await wired.move(alice, target)


async def lose_two(wired: Wires, alice: SessionRecord) -> None:
    """Hosts a and b are lost while the turn runs; it waits at c."""
    for lost, heir in (("a", "b"), ("b", "c")):
        await runs(wired, lost)
        # It only seems to be lost here, and would record how its attempt ends.
        wired.nodes[lost].host._journal.record = lambda failed, then: None  # type: ignore[method-assign]
        wired.nodes[lost].host.suspects._put = lambda job: None  # type: ignore[method-assign]
        await wired.fail_over(lost, heir)


async def lose_probation(wired: Wires, name: str) -> None:
    """A host that has one session alone is lost, as placement sees it."""
    wired.alive.remove(name)
    await wired.nodes[name].server.close()
    wired.store.inherit(name, "c")
    wired.settle()


def codes(wired: Wires, alice: SessionRecord, turn_id: str) -> list[str]:
    """The recorded ends of the turn's attempts, by attempt."""
    rows = sorted(wired.store.failures(alice.uid, turn_id), key=lambda row: row.attempt)
    return [row.public()["error"]["code"] for row in rows]


def test_a_turn_that_kills_three_hosts_is_refused_and_its_session_goes_on() -> None:
    """It runs at once after the first loss, alone after the second, never after the third."""

    async def scenario() -> None:
        async with suspicious("a", "b", "c", "d") as (wired, alice):
            turn = asyncio.ensure_future(wired.code(alice, "t1", **POISON))
            await lose_two(wired, alice)
            await put_on_probation(wired, alice, "c", "d")
            await runs(wired, "d")
            await lose_probation(wired, "d")
            assert await turn == "poison_turn"
            assert (await wired.predict(alice, "t2"))["turn"] == 1
            assert [call.turn_id for name in "abcd" for call in wired.nodes[name].program.calls] == [
                "t1",
                "t1",
                "t2",
                "t1",
            ]
            assert codes(wired, alice, "t1") == ["host_lost", "host_lost", "poison_turn"]

    asyncio.run(scenario())


def test_its_key_is_refused_from_then_on_and_nothing_starts() -> None:
    """By a fresh router, on another host, as after a restart."""

    async def scenario() -> None:
        async with suspicious("a", "b", "c", "d") as (wired, alice):
            turn = asyncio.ensure_future(wired.code(alice, "t1", **POISON))
            await lose_two(wired, alice)
            await put_on_probation(wired, alice, "c", "d")
            await runs(wired, "d")
            await lose_probation(wired, "d")
            await turn
            heir = await wired.start("e")
            await renew_router(wired)
            await wired.fail_over("c", "e")
            for _ in range(2):
                assert await wired.code(alice, "t1", **POISON) == "poison_turn"
            assert heir.program.calls == []
            assert codes(wired, alice, "t1") == ["host_lost", "host_lost", "poison_turn"]

    asyncio.run(scenario())


async def renew_router(wired: Wires) -> None:
    """The API replica is lost, and another one knows nothing of its turns."""
    await wired.router.close()
    wired.router = Router(wired.store.store_id, wired.store.stream_key)
    wired.publish()
    for name in wired.alive:
        await wired.ready(name)


def test_losses_outlive_the_router_that_counted_them() -> None:
    """After each loss but the first the client sends its turn through another API replica: three hosts all the same."""

    async def scenario() -> None:
        async with suspicious("a", "b", "c", "d") as (wired, alice):
            first = asyncio.ensure_future(wired.code(alice, "t1", **POISON))
            await runs(wired, "a")
            await wired.fail_over("a", "b")
            await runs(wired, "b")
            await renew_router(wired)
            assert await first == "outcome_unknown"
            await wired.fail_over("b", "c")
            second = asyncio.ensure_future(wired.code(alice, "t1", **POISON))
            await put_on_probation(wired, alice, "c", "d")
            await runs(wired, "d")
            await renew_router(wired)
            assert await second == "outcome_unknown"
            await lose_probation(wired, "d")
            assert await wired.code(alice, "t1", **POISON) == "poison_turn"
            assert [len(wired.nodes[name].program.calls) for name in "abcd"] == [1, 1, 0, 1]

    asyncio.run(scenario())


def test_an_innocent_turn_ends_on_probation_and_its_session_goes_home() -> None:
    """Nothing counts against it any more, those behind it run in order, and the host is free again."""

    async def scenario() -> None:
        async with suspicious("a", "b", "c", "d") as (wired, alice):
            turn, behind = wired.begin(alice, "t1", **POISON), wired.begin(alice, "t2")
            await lose_two(wired, alice)
            await put_on_probation(wired, alice, "c", "d")
            await runs(wired, "d")
            wired.nodes["d"].program.gate("poison").open()
            assert ((await turn)["turn"], turn.result()["attempts"]) == (1, 3)
            await until(lambda: not wired.leases("d"))
            wired.settle()
            assert (await behind)["turn"] == 2
            assert [call.turn_id for call in wired.nodes["d"].program.calls] == ["t1"]
            assert codes(wired, alice, "t1") == ["host_lost", "host_lost"]

    asyncio.run(scenario())


def test_a_turn_that_fails_on_probation_may_be_sent_again() -> None:
    """Its host lived: it is no poison, and each further attempt is alone too."""

    async def scenario() -> None:
        async with suspicious("a", "b", "c", "d") as (wired, alice):
            turn = asyncio.ensure_future(wired.code(alice, "t1", do="raise", **POISON))
            await lose_two(wired, alice)
            await put_on_probation(wired, alice, "c", "d")
            wired.nodes["d"].program.gate("poison").open()
            assert await turn == "program_failed"
            assert codes(wired, alice, "t1") == ["host_lost", "host_lost", "program_failed"]
            await until(lambda: not wired.leases("d"))
            wired.settle()
            again = asyncio.ensure_future(wired.code(alice, "t1", do="raise", **POISON))
            await put_on_probation(wired, alice, "c", "d")
            assert await again == "program_failed"

    asyncio.run(scenario())


def test_a_cut_link_is_no_loss() -> None:
    """However often: the first loss after that is the first, and the turn runs again at once."""

    async def scenario() -> None:
        async with suspicious("a", "b") as (wired, alice):
            turn = wired.begin(alice, "t1", **POISON)
            await runs(wired, "a")
            for _ in range(3):
                await wired.cut("a")
            assert codes(wired, alice, "t1") == []
            await wired.fail_over("a", "b")
            await runs(wired, "b")
            wired.nodes["b"].program.gate("poison").open()
            assert (await turn)["turn"] == 1

    asyncio.run(scenario())


def test_only_the_turn_that_may_have_run_is_suspected() -> None:
    """Those that waited behind it begin at once on the next host, without a record."""

    async def scenario() -> None:
        async with suspicious("a", "b") as (wired, alice):
            turns = [wired.begin(alice, f"t{number}", gate="poison") for number in range(3)]
            await until(lambda: wired.nodes["a"].waiters() == 3)
            await runs(wired, "a")
            wired.nodes["b"].program.gate("poison").open()
            await wired.fail_over("a", "b")
            assert [(await turn)["turn"] for turn in turns] == [1, 2, 3]
            assert [codes(wired, alice, f"t{number}") for number in range(3)] == [["host_lost"], [], []]

    asyncio.run(scenario())


def test_a_suspect_without_a_host_of_its_own_says_so_when_its_time_is_up() -> None:
    """`no_capacity`, and nothing ran; with more time the same key is put on probation."""

    async def scenario() -> None:
        async with suspicious("a", "b", "c", "d") as (wired, alice):
            turn = asyncio.ensure_future(wired.code(alice, "t1", timeout_s=1.5, **POISON))
            await lose_two(wired, alice)
            assert await turn == "no_capacity"
            assert wired.nodes["c"].program.calls == []
            again = wired.begin(alice, "t1", **POISON)
            await put_on_probation(wired, alice, "c", "d")
            wired.nodes["d"].program.gate("poison").open()
            assert (await again)["turn"] == 1

    asyncio.run(scenario())
