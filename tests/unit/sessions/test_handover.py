"""A host gives units and sessions away while they are in use."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from dspex_actors.errors import Moved, SessionBusy, StoreUnavailable
from dspex_actors.resources.journal import Entry, Verdict
from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.activation import Ask
from dspex_actors.store.port import Lease
from tests.unit.sessions.hosting import Bench, Heard, hosting, request, until


def lease(bench: Bench, record: SessionRecord) -> Lease:
    """The lease of the session's shard."""
    return next(found for found in bench.store.leases() if found.unit == record.unit)


def own(bench: Bench, record: SessionRecord) -> Lease | None:
    """The session's own lease."""
    return next((found for found in bench.store.leases() if found.unit == f"session:{record.uid}"), None)


def test_an_idle_session_leaves_with_its_unit() -> None:
    """The heir has the lease, one epoch on; whoever asks here is told to look elsewhere."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await bench.ask(alice, "t1").answer()
            assert await bench.host.handover.units([lease(bench, alice)], "host-b") == [Lease(alice.unit, 2, "host-b")]
            assert await bench.ask(alice, "t2").error() == "moved"
            assert bench.host.load().sessions == 0

    asyncio.run(scenario())


def test_a_turn_that_runs_is_committed_where_it_runs_and_then_its_session_leaves() -> None:
    """Under a lease of its own; what waited behind it goes back to the router; nothing runs twice."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            running, waiting = bench.ask(alice, "t1", gate="g"), bench.ask(alice, "t2")
            await until(lambda: bench.program.gate("g").reached == 1)
            await bench.host.handover.units([lease(bench, alice)], "host-b")
            assert await waiting.error() == "moved"
            assert (stays := own(bench, alice)) is not None
            assert stays.host == "host-a"
            news = asyncio.ensure_future(bench.host.handover.news(0))
            bench.program.gate("g").open()
            assert (await running.answer())["turn"] == 1
            assert await news == 1
            assert (own(bench, alice), bench.store.load_session(alice.uid).unit) == (None, alice.unit)
            assert len(bench.program.calls) == 1

    asyncio.run(scenario())


def test_a_session_whose_own_lease_is_lost_at_once_is_served_when_it_comes_back() -> None:
    """Before the host has begun to wait for the end of its turn: nothing keeps new turns out for ever."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            running = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            await bench.host.handover.units([lease(bench, alice)], "host-b")
            stays = own(bench, alice)
            assert stays is not None
            bench.store.take_over([stays], "host-b")
            bench.host.disown([stays.unit])
            assert (await running.error(), await bench.host.handover.news(0)) == ("moved", 1)
            (back,) = bench.store.take_over([stays._replace(epoch=stays.epoch + 1)], "host-a")
            bench.host.own([back])
            bench.program.gate("g").open()
            again = Heard()
            bench.host.ask(Ask(alice.uid, back.unit, back.epoch, 1, request("t1")), again)
            assert (await again.answer())["turn"] == 1

    asyncio.run(scenario())


def test_a_turn_that_ends_during_the_handover_is_committed_once_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its result is held back until its lease is known, so it is not lost and not run again."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice, moving = bench.session(), asyncio.Event()
            loop, hand_over = asyncio.get_running_loop(), bench.store.hand_over

            def slow(*args: object) -> list[Lease]:
                loop.call_soon_threadsafe(moving.set)
                bench.program.gate("slow").block()
                return hand_over(*args)  # type: ignore[arg-type]

            monkeypatch.setattr(bench.store, "hand_over", slow)
            running = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            moved = asyncio.ensure_future(bench.host.handover.units([lease(bench, alice)], "host-b"))
            await moving.wait()
            bench.program.gate("g").open()
            held = bench.host._active[alice.uid]
            await until(lambda: bool(held.held))
            assert running.answers == []
            bench.program.gate("slow").open()
            await moved
            assert (await running.answer())["turn"] == 1
            assert (bench.journal(alice), len(bench.program.calls)) == ([(1, "t1")], 1)

    asyncio.run(scenario())


def test_a_handover_waits_for_what_is_being_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit under the old lease must not come after the move."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice, commit = bench.session(), bench.store.commit
            seen = lease(bench, alice)

            def slow(entries: object) -> object:
                bench.program.gate("disk").block()
                return commit(entries)  # type: ignore[arg-type]

            monkeypatch.setattr(bench.store, "commit", slow)
            turn = bench.ask(alice, "t1")
            await until(lambda: bench.program.gate("disk").reached == 1)
            moved = asyncio.ensure_future(bench.host.handover.units([seen], "host-b"))
            await asyncio.sleep(0)
            assert lease(bench, alice) == seen
            bench.program.gate("disk").open()
            assert (await turn.answer())["turn"] == 1
            assert await moved == [Lease(alice.unit, 2, "host-b")]

    asyncio.run(scenario())


def test_a_session_that_moves_alone_waits_for_what_is_being_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come back to its shard, whose epoch stays as it is: nothing of before may still be on its way then."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice, commit, order = bench.session(), bench.store.commit, list[str]()
            move_session = bench.store.move_session

            def slow(entries: Sequence[Entry]) -> list[Verdict]:
                bench.program.gate("disk").block()
                order.append("committed")
                return commit(entries)

            def moving(uid: str, seen: Lease, host: str | None) -> Lease | None:
                order.append("moved")
                return move_session(uid, seen, host)

            monkeypatch.setattr(bench.store, "commit", slow)
            monkeypatch.setattr(bench.store, "move_session", moving)
            turn = bench.ask(alice, "t1")
            await until(lambda: bench.program.gate("disk").reached == 1)
            moved = asyncio.ensure_future(bench.host.handover.session(alice.uid, lease(bench, alice), "host-b", 5.0))
            await until(lambda: order == ["moved"] or bench.host._active[alice.uid].changed is not None)
            bench.program.gate("disk").open()
            assert (await turn.answer())["turn"] == 1
            await moved
            assert order == ["committed", "moved"]

    asyncio.run(scenario())


def test_a_store_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the move had happened, and only its answer was lost."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice, hand_over, answers = bench.session(), bench.store.hand_over, iter((True, False))

            def lossy(*args: object) -> list[Lease]:
                found = hand_over(*args)  # type: ignore[arg-type]
                if next(answers):
                    raise StoreUnavailable("The answer is lost.")
                return found

            monkeypatch.setattr(bench.store, "hand_over", lossy)
            assert await bench.host.handover.units([lease(bench, alice)], "host-b") == [Lease(alice.unit, 2, "host-b")]

    asyncio.run(scenario())


def test_a_unit_that_somebody_took_meanwhile_is_not_handed_over() -> None:
    """Its sessions are released; the taker's lease stands."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            seen = lease(bench, alice)
            running = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            bench.store.take_over([seen], "host-c")
            assert await bench.host.handover.units([seen], "host-b") == [Lease(alice.unit, 2, "host-c")]
            assert await running.error() == "moved"

    asyncio.run(scenario())


def test_a_session_moves_alone_when_its_turn_has_ended() -> None:
    """Its neighbours in the shard stay; what came meanwhile is sent on."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            running = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            moved = asyncio.ensure_future(bench.host.handover.session(alice.uid, lease(bench, alice), "host-b", 5.0))
            await asyncio.sleep(0)
            assert await bench.ask(alice, "t2").error() == "moved"
            bench.program.gate("g").open()
            assert (await running.answer())["turn"] == 1
            there = (await moved).lease
            assert there is not None
            assert there.host == "host-b"
            assert lease(bench, alice) == Lease(alice.unit, 1, "host-a")
            assert await bench.ask(alice, "t3").error() == "moved"

    asyncio.run(scenario())


def test_a_session_whose_turn_does_not_end_in_time_stays() -> None:
    """And takes turns again."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            running = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            with pytest.raises(SessionBusy):
                await bench.host.handover.session(alice.uid, lease(bench, alice), "host-b", 0.01)
            waiting = bench.ask(alice, "t2")
            bench.program.gate("g").open()
            assert [(await running.answer())["turn"], (await waiting.answer())["turn"]] == [1, 2]

    asyncio.run(scenario())


def test_a_session_of_somebody_else_is_not_given_away() -> None:
    """Nor one under another epoch."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            with pytest.raises(Moved):
                await bench.host.handover.session(alice.uid, Lease(alice.unit, 2, "host-a"), "host-b", 0.01)

    asyncio.run(scenario())


def test_a_session_with_a_lease_elsewhere_does_not_wake_with_its_shard() -> None:
    """A stale router sends to the shard's owner: it is told to look elsewhere."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            bench.store.move_session(alice.uid, lease(bench, alice), "host-b")
            assert await bench.ask(alice, "t1").error() == "moved"
            assert bench.host.load().sessions == 0

    asyncio.run(scenario())


def test_a_session_deleted_while_its_turn_runs_leaves_nothing() -> None:
    """No lease of its own; its caller hears that it is gone or elsewhere."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            running = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            bench.store.delete_session("default", alice.id)
            await bench.host.handover.units([lease(bench, alice)], "host-b")
            assert await running.error() == "moved"
            assert own(bench, alice) is None

    asyncio.run(scenario())


def test_a_lease_that_came_back_meanwhile_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer of a handover comes late: its heir was lost, and the unit is this host's again, two epochs on."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice, hand_over, loop = bench.session(), bench.store.hand_over, asyncio.get_running_loop()
            seen, home = lease(bench, alice), asyncio.Event()

            def late(*args: object) -> list[Lease]:
                hand_over(*args)  # type: ignore[arg-type]
                again = bench.store.inherit("host-b", "host-a")
                loop.call_soon_threadsafe(bench.host.own, again)
                loop.call_soon_threadsafe(home.set)
                bench.program.gate("late").block()
                return again

            monkeypatch.setattr(bench.store, "hand_over", late)
            moved = asyncio.ensure_future(bench.host.handover.units([seen], "host-b"))
            await home.wait()
            bench.program.gate("late").open()
            await moved
            bench.epochs[alice.unit] = 3
            assert (await bench.ask(alice, "t1").answer())["turn"] == 1

    asyncio.run(scenario())


def test_a_handover_that_breaks_lets_turns_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the store raised; what had ended meanwhile is committed."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()

            def broken(*args: object) -> list[Lease]:
                bench.program.gate("g").open()
                raise ArithmeticError("a bug")

            monkeypatch.setattr(bench.store, "hand_over", broken)
            running = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            with pytest.raises(ArithmeticError):
                await bench.host.handover.units([lease(bench, alice)], "host-b")
            assert (await running.answer())["turn"] == 1
            assert (await bench.ask(alice, "t2").answer())["turn"] == 2

    asyncio.run(scenario())


def test_a_session_that_is_waking_runs_what_woke_it_and_then_leaves() -> None:
    """Here, once; what waits behind that turn goes on elsewhere."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            first, second = bench.ask(alice, "t1", gate="g"), bench.ask(alice, "t2")
            moved = asyncio.ensure_future(bench.host.handover.session(alice.uid, lease(bench, alice), "host-b", 5.0))
            assert await second.error() == "moved"
            bench.program.gate("g").open()
            assert (await first.answer())["turn"] == 1
            there = (await moved).lease
            assert there is not None
            assert (there.host, len(bench.program.calls)) == ("host-b", 1)

    asyncio.run(scenario())
