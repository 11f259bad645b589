"""A host reads its leases in the store: while it has no word of them nothing begins, and what is lost it gives up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dspex_actors.clock import ManualClock
from dspex_actors.errors import StoreUnavailable
from dspex_actors.sessions import assurance
from dspex_actors.sessions.assurance import UNREACHABLE_S, UNSURE_S, Assurance
from dspex_actors.sessions.tenure import Tenure
from dspex_actors.store.port import Lease
from tests.unit.sessions.hosting import hosting, until


class Scene:
    """A tenure of two units, and a store that answers when it is let."""

    def __init__(self) -> None:
        self.clock, self.said = ManualClock(), list[str]()
        self.leases = {"shard:1": 7, "shard:2": 7}
        self.answers, self.asked, self.reads = True, 0, 0
        self.gate = threading.Event()
        self.gate.set()
        released = lambda units: self.said.extend(sorted(units))  # noqa: E731
        self.tenure = Tenure(asyncio.get_running_loop(), lambda *_: None, lambda _: None, released)
        self.tenure.own(Lease(unit, epoch, "h") for unit, epoch in self.leases.items())
        self.assurance = Assurance(self.read, self.tenure, self.clock)

    def read(self) -> dict[str, int]:
        """What the store says."""
        found = dict(self.leases)
        self.asked += 1
        self.gate.wait(10)
        self.reads += 1
        if not self.answers:
            raise StoreUnavailable("away")
        return found

    def call(self, name: str, *, patient: bool = False) -> None:
        """Something that may begin when the host is sure."""
        give_up = None if patient else lambda: self.said.append(f"not {name}")
        self.assurance.when_sure(lambda: self.said.append(name), give_up)

    async def read_again(self) -> None:
        """Until the store has answered twice more: the second question was asked after now."""
        seen = self.reads
        await until(lambda: self.reads >= seen + 2)


@asynccontextmanager
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """One that has begun."""
    monkeypatch.setattr(assurance, "EVERY_S", 0.005)
    made = Scene()
    made.assurance.begin()
    try:
        yield made
    finally:
        made.gate.set()
        made.assurance.close()


def test_nothing_begins_without_the_stores_word_and_all_of_it_in_order_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes meanwhile overtakes nothing."""

    async def scenario() -> None:
        async with scene(monkeypatch) as here:
            here.call("sure")
            here.answers = False
            await here.read_again()
            here.clock.advance(UNSURE_S)
            here.call("a")
            here.call("b", patient=True)
            await here.read_again()
            assert (here.said, here.assurance.is_sure) == (["sure"], False)
            here.answers = True
            await until(lambda: here.assurance.is_sure)
            here.call("c")
            assert here.said == ["sure", "a", "b", "c"]

    asyncio.run(scenario())


def test_who_waits_for_long_is_told_and_what_has_begun_waits_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that its session has started is the journal's to decide."""
    monkeypatch.setattr(assurance, "UNREACHABLE_S", UNSURE_S + 0.05)

    async def scenario() -> None:
        async with scene(monkeypatch) as here:
            here.answers = False
            await here.read_again()
            here.clock.advance(UNSURE_S)
            here.call("a")
            here.call("b", patient=True)
            here.clock.advance(UNREACHABLE_S)
            await until(lambda: here.said == ["not a"])
            here.call("c")
            assert here.said == ["not a", "not c"]
            here.answers = True
            await until(lambda: here.said == ["not a", "not c", "b"])

    asyncio.run(scenario())


def test_a_lease_that_the_store_has_given_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether another host has it, or this one under another epoch."""

    async def scenario() -> None:
        async with scene(monkeypatch) as here:
            here.leases = {"shard:2": 8}
            await until(lambda: here.said == ["shard:1", "shard:2"])
            assert here.tenure.open_leases() == {}

    asyncio.run(scenario())


def test_what_is_being_handed_over_and_what_came_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one is the handover's, of the other the answer knows nothing yet."""

    async def scenario() -> None:
        async with scene(monkeypatch) as here:
            here.tenure.close(["shard:1"])
            here.leases = {"shard:2": 7}
            await here.read_again()
            here.gate.clear()
            asked = here.asked
            await until(lambda: here.asked > asked)
            here.leases = {"shard:2": 7, "shard:3": 9}
            here.tenure.own([Lease("shard:3", 9, "h")])
            here.gate.set()
            await here.read_again()
            assert (here.said, here.tenure.epoch("shard:1"), here.tenure.epoch("shard:3")) == ([], 7, 9)

    asyncio.run(scenario())


def test_a_host_that_wakes_up_runs_nothing_that_it_could_not_commit() -> None:
    """It was frozen; its session is another host's. The program is not even called."""

    async def scenario() -> None:
        clock = ManualClock()
        async with hosting(clock=clock) as bench:
            alice = bench.session()
            bench.host.assurance.begin()
            await bench.ask(alice, "t1").answer()
            clock.advance(UNSURE_S)
            bench.store.take_over([lease for lease in bench.store.leases() if lease.unit == alice.unit], "host-b")
            late = bench.ask(alice, "t2")
            assert await late.error() == "moved"
            assert [call.turn_id for call in bench.program.calls] == ["t1"]

    asyncio.run(scenario())


def test_a_turn_that_waits_in_its_mailbox_does_not_start_meanwhile_either() -> None:
    """The one before it has ended; the store's word is old."""

    async def scenario() -> None:
        clock = ManualClock()
        async with hosting(clock=clock) as bench:
            alice = bench.session()
            bench.host.assurance.begin()
            first, second = bench.ask(alice, "t1", gate="g"), bench.ask(alice, "t2")
            await until(lambda: bench.program.gate("g").reached == 1)
            clock.advance(UNSURE_S)
            bench.program.gate("g").open()
            assert (await first.answer())["turn"] == 1
            assert (await second.answer())["turn"] == 2
            assert bench.host.assurance.is_sure

    asyncio.run(scenario())


def test_a_call_that_fails_is_logged_and_the_others_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one error would leave the host unsure for ever."""

    def fail() -> None:
        raise RuntimeError("no thread is left")

    async def scenario() -> None:
        async with scene(monkeypatch) as here:
            here.answers = False
            await here.read_again()
            here.clock.advance(UNSURE_S)
            here.assurance.when_sure(fail)
            here.call("b", patient=True)
            here.answers = True
            await until(lambda: here.said == ["b"])

    asyncio.run(scenario())


def test_a_host_that_is_not_sure_does_not_say_that_nothing_is_there_to_cancel() -> None:
    """The turn may be among those that wait for the store's word."""

    async def scenario() -> None:
        clock = ManualClock()
        async with hosting(clock=clock) as bench:
            alice = bench.session()
            bench.host.assurance.begin()
            await bench.ask(alice, "t1").answer()
            await until(lambda: bench.host.assurance.is_sure)
            assert bench.host.cancel(alice.uid, alice.unit, None, "k") is not None
            clock.advance(UNSURE_S)
            assert bench.host.cancel(alice.uid, alice.unit, None, "k") is None

    asyncio.run(scenario())
