"""Sessions that nobody talks to leave memory, and nobody notices."""

from __future__ import annotations

import asyncio

import pytest

from dspex_actors.sessions import memory_room
from dspex_actors.sessions.limits import HostLimits
from dspex_actors.sessions.memory_room import Room
from tests.unit.sessions.hosting import hosting, until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_room, "SWEEP_S", 0.001)
    monkeypatch.setattr(memory_room, "QUIET_S", 0.01)


def test_an_idle_session_leaves_and_comes_back_with_all_it_knows() -> None:
    """Its number, its conversation, and the keys of its turns."""

    async def scenario() -> None:
        async with hosting(limits=HostLimits(Room(idle_s=0.01))) as bench:
            alice = bench.session()
            await bench.ask(alice, "t1").answer()
            await until(lambda: bench.host.load().sessions == 0)
            assert bench.host.peek([alice.uid]) == [("passive", 0)]
            again, second = bench.ask(alice, "t1"), bench.ask(alice, "t2")
            assert ((await again.answer())["turn"], again.replayed) == (1, True)
            assert ((await second.answer())["turn"], (await second.answer())["outputs"]["seen"]) == (2, ["t1"])

    asyncio.run(scenario())


def test_a_session_with_something_to_do_stays() -> None:
    """However long its turn takes."""

    async def scenario() -> None:
        async with hosting(limits=HostLimits(Room(idle_s=0.01))) as bench:
            alice, bob = bench.session("alice"), bench.session("bob")
            running = bench.ask(alice, "t1", gate="g")
            await bench.ask(bob, "t1").answer()
            await until(lambda: list(bench.host._active) == [alice.uid])
            bench.program.gate("g").open()
            assert (await running.answer())["turn"] == 1
            await until(lambda: bench.host.load().sessions == 0)

    asyncio.run(scenario())


def test_when_too_many_are_in_memory_those_idle_longest_leave_first() -> None:
    """Before their time."""

    async def scenario() -> None:
        async with hosting(limits=HostLimits(Room(idle_s=3600, sessions=2))) as bench:
            records = [bench.session(name) for name in ("a", "b", "c")]
            for record in [*records, records[1]]:
                await bench.ask(record, f"t{len(bench.program.calls)}").answer()
            await until(lambda: bench.host.load().sessions == 2)
            assert list(bench.host._active) == [records[2].uid, records[1].uid]

    asyncio.run(scenario())


def test_an_attempt_that_cannot_be_stopped_keeps_its_session_in_memory() -> None:
    """Else the limit on such attempts would be forgotten."""

    async def scenario() -> None:
        async with hosting(limits=HostLimits(Room(idle_s=0.01))) as bench:
            alice = bench.session()
            assert await bench.ask(alice, "t1", do="ignore", gate="g", timeout_s=0.5).error() == "deadline_exceeded"
            bob = bench.session("bob")
            await bench.ask(bob, "t1").answer()
            await until(lambda: bob.uid not in bench.host._active)
            assert list(bench.host._active) == [alice.uid]
            bench.program.gate("g").open()
            await until(lambda: bench.host.load().sessions == 0)

    asyncio.run(scenario())


def test_a_quiet_session_is_folded_and_goes_on_where_it_was() -> None:
    """While a busy one is not."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice, bob = bench.session("alice"), bench.session("bob")
            running = bench.ask(bob, "t1", gate="g")
            await bench.ask(alice, "t1").answer()
            states = [bench.host._active[each.uid].session.state for each in (alice, bob)]  # type: ignore[union-attr]
            await until(lambda: bool(states[0].history._folded))
            assert not states[1].history._folded
            assert (await bench.ask(alice, "t2").answer())["outputs"]["seen"] == ["t1"]
            bench.program.gate("g").open()
            assert (await running.answer())["turn"] == 1

    asyncio.run(scenario())


def test_nothing_is_swept_while_no_session_is_there() -> None:
    """A host at rest does nothing."""

    async def scenario() -> None:
        async with hosting(limits=HostLimits(Room(idle_s=0.01))) as bench:
            await bench.ask(bench.session(), "t1").answer()
            await until(lambda: bench.host._room._timer is None)

    asyncio.run(scenario())
