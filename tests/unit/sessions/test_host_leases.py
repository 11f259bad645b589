"""The host's leases: what it serves, gives back and waits for; and draining."""

from __future__ import annotations

import asyncio

from dspex_actors.store.port import Lease
from tests.unit.sessions.hosting import hosting, until


def test_a_lease_of_a_higher_epoch_starts_the_session_again() -> None:
    """What ran is given back; the same turn then runs under the new epoch, once."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            running = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            bench.store.take_over([Lease(alice.unit, 1, "host-a")], "host-a")
            bench.renew(alice)
            assert await running.error() == "moved"
            bench.program.gate("g").open()
            assert (await bench.ask(alice, "t1", gate="g").answer())["turn"] == 1
            assert bench.journal(alice) == [(1, "t1")]

    asyncio.run(scenario())


def test_a_host_that_lost_its_lease_unknowingly_cannot_commit() -> None:
    """The fence is the store's; the answer is `moved`."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            bench.store.take_over([Lease(alice.unit, 1, "host-a")], "host-b")
            assert await bench.ask(alice, "t1").error() == "moved"
            assert bench.journal(alice) == []

    asyncio.run(scenario())


def test_a_unit_that_is_disowned_gives_back_all_that_waits_in_order() -> None:
    """The running one first."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            waiters = [bench.ask(alice, f"t{number}", gate="g") for number in range(3)]
            await until(lambda: bench.program.gate("g").reached == 1)
            bench.host.disown([alice.unit])
            assert [await waiter.error() for waiter in waiters] == ["moved"] * 3
            assert bench.host.load().sessions == 0

    asyncio.run(scenario())


def test_a_turn_under_an_older_epoch_is_told_to_look_elsewhere() -> None:
    """A stale router."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            bench.store.take_over([Lease(alice.unit, 1, "host-a")], "host-a")
            bench.renew(alice)
            bench.epochs[alice.unit] = 1
            assert await bench.ask(alice, "t1").error() == "moved"

    asyncio.run(scenario())


def test_a_turn_that_comes_before_its_lease_waits_for_it() -> None:
    """A host behind the router's epoch."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            (won,) = bench.store.take_over([Lease(alice.unit, 1, "host-a")], "host-a")
            bench.epochs[alice.unit] = won.epoch
            early = bench.ask(alice, "t1")
            assert early.answers == []
            bench.renew(alice)
            assert (await early.answer())["turn"] == 1

    asyncio.run(scenario())


def test_draining_refuses_new_turns_and_waits_for_those_that_run() -> None:
    """Also when turns have ended before."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await bench.ask(alice, "t1").answer()
            running = bench.ask(alice, "t2", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            drained = asyncio.ensure_future(bench.host.drain(5))
            await asyncio.sleep(0)
            assert await bench.ask(alice, "t3").error() == "draining"
            assert not drained.done()
            bench.program.gate("g").open()
            assert await drained
            assert (await running.answer())["turn"] == 2

    asyncio.run(scenario())


def test_draining_waits_for_turns_whose_session_is_still_read() -> None:
    """They were accepted."""

    async def scenario() -> None:
        async with hosting() as bench:
            waiter = bench.ask(bench.session(), "t1")
            assert await bench.host.drain(5)
            assert len(waiter.answers) == 1

    asyncio.run(scenario())


def test_draining_gives_up_when_its_time_is_over() -> None:
    """And says so."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            assert not await bench.host.drain(0.01)

    asyncio.run(scenario())
