"""The host: turns through its threads and its writer, and what becomes of them when something breaks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dspex_actors.ids import new_ulid
from dspex_actors.sessions import lease_wait, state
from dspex_actors.sessions.session import ABANDONED_LIMIT, Session
from dspex_actors.store.port import Lease
from tests.unit.sessions.hosting import Bench, Gate, Heard, Scripted, Streamer, hosting, until


def test_a_turn_is_run_committed_and_answered() -> None:
    """And the next one sees it."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            first = await bench.ask(alice, "t1").answer()
            second = await bench.ask(alice, "t2").answer()
            assert (first["turn"], second["turn"], second["outputs"]["seen"]) == (1, 2, ["t1"])
            assert bench.journal(alice) == [(1, "t1"), (2, "t2")]
            assert bench.host._owner == {}

    asyncio.run(scenario())


def test_a_recorded_key_replays_and_another_body_is_refused() -> None:
    """From the journal; the program runs once."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            first = await bench.ask(alice, "t1").answer()
            again = bench.ask(alice, "t1")
            assert (await again.answer(), again.replayed) == (first, True)
            assert await bench.ask(alice, "t1", q="other").error() == "idempotency_mismatch"
            assert len(bench.program.calls) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("do", "code"), [("raise", "program_failed"), ("bug", "internal"), ("refuse", "invalid_request")]
)
@pytest.mark.parametrize("is_async", [True, False])
def test_a_program_that_raises_fails_its_turn_only(do: str, code: str, is_async: bool) -> None:
    """The next turn has the number that it would have had."""

    async def scenario() -> None:
        async with hosting(Scripted(is_async)) as bench:
            alice = bench.session()
            assert await bench.ask(alice, "t1", do=do).error() == code
            assert (await bench.ask(alice, "t2").answer())["turn"] == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("is_async", [True, False])
def test_a_program_that_exits_does_not_take_the_others_with_it(is_async: bool) -> None:
    """`SystemExit` ends a turn, not the program loop."""

    async def scenario() -> None:
        async with hosting(Scripted(is_async)) as bench:
            alice = bench.session()
            assert await bench.ask(alice, "t1", do="exit").error() == "internal"
            assert (await bench.ask(alice, "t2").answer())["turn"] == 1

    asyncio.run(scenario())


def test_a_broken_validation_fails_its_turn_only() -> None:
    """Also for those that waited for the session to be read."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            broken, sound = bench.ask(alice, "t1", do="break"), bench.ask(alice, "t2")
            assert await broken.error() == "internal"
            assert (await sound.answer())["turn"] == 1
            assert await bench.ask(alice, "t3", do="break").error() == "internal"

    asyncio.run(scenario())


def test_a_session_that_does_not_exist_is_not_found() -> None:
    """Whoever waits hears it; nothing stays behind."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            bench.store.delete_session("default", "alice")
            assert await bench.ask(alice, "t1").error() == "not_found"
            assert bench.host.load().sessions == 0

    asyncio.run(scenario())


def test_a_hanging_sync_program_ends_in_its_deadline_and_the_next_turn_works() -> None:
    """Until as many hang as may; when one has ended, turns run again."""

    async def scenario() -> None:
        async with hosting(Scripted(is_async=False)) as bench:
            alice = bench.session()
            for number in range(ABANDONED_LIMIT):
                assert await bench.ask(alice, f"t{number}", gate="g", timeout_s=0.05).error() == "deadline_exceeded"
            assert await bench.ask(alice, "busy").error() == "session_busy"
            bench.program.gate("g").open()
            await until(lambda: not bench.host._active[alice.uid].runs)
            assert (await bench.ask(alice, "next").answer())["turn"] == 1

    asyncio.run(scenario())


def test_an_async_program_that_ignores_cancellation_counts_as_hanging() -> None:
    """Its late result is discarded."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await bench.ask(alice, "warm").answer()
            while bench.program.gate("g").reached < ABANDONED_LIMIT:  # on a slow machine one may expire unstarted
                late = bench.ask(alice, new_ulid(), gate="g", do="ignore", timeout_s=0.05)
                assert await late.error() == "deadline_exceeded"
            assert await bench.ask(alice, "busy").error() == "session_busy"
            bench.program.gate("g").open()
            await until(lambda: not bench.host._active[alice.uid].runs)
            assert (await bench.ask(alice, "next").answer())["turn"] == 2
            assert bench.journal(alice) == [(1, "warm"), (2, "next")]

    asyncio.run(scenario())


def test_an_attempt_that_is_aborted_before_it_begins_counts_as_ended() -> None:
    """However often that happens, the session does not become busy."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await bench.ask(alice, "warm").answer()
            for number in range(ABANDONED_LIMIT + 1):
                waiter = bench.ask(alice, f"t{number}", gate="g", cancel_on_disconnect=True)
                bench.host.leave(waiter)
                assert await waiter.error() == "cancelled"
                await until(lambda: not bench.host._active[alice.uid].runs)
            assert (await bench.ask(alice, "next").answer())["turn"] == 2

    asyncio.run(scenario())


def test_a_long_turn_does_not_delay_others() -> None:
    """Neither those of other sessions, nor on the same loop."""

    async def scenario() -> None:
        async with hosting() as bench:
            slow, quick = bench.session("slow"), bench.session("quick")
            waiting = bench.ask(slow, "long", gate="g")
            for number in range(50):
                await bench.ask(quick, f"t{number}").answer()
            assert waiting.answers == []
            bench.program.gate("g").open()
            assert (await waiting.answer())["turn"] == 1

    asyncio.run(scenario())


def test_a_core_that_breaks_restarts_from_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn that was being written has an unknown outcome; its key tells which."""
    broken: list[bool] = []

    def fold(*args: Any) -> None:
        if not broken:
            broken.append(True)
            raise AssertionError("an invariant")
        original(*args)

    original = state.fold
    monkeypatch.setattr("dspex_actors.sessions.session.fold", fold)

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            assert await bench.ask(alice, "t1").error() == "outcome_unknown"
            assert bench.host.peek([alice.uid]) == [("passive", 1)]
            assert (await bench.ask(alice, "t1").answer())["turn"] == 1
            assert bench.journal(alice) == [(1, "t1")]

    asyncio.run(scenario())


def test_what_ran_when_the_core_broke_is_never_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller was told that nothing of it is in the state."""
    original = Session._arrive

    def arrive(self: Session, event: Any) -> Any:
        if event.turn_id == "break":
            raise AssertionError("an invariant")
        return original(self, event)

    monkeypatch.setattr(Session, "_arrive", arrive)

    async def scenario() -> None:
        async with hosting(Scripted(is_async=False)) as bench:
            alice = bench.session()
            running = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            breaking = bench.ask(alice, "break")
            assert [await running.error(), await breaking.error()] == ["internal", "internal"]
            bench.program.gate("g").open()
            assert (await bench.ask(alice, "t2").answer())["turn"] == 1
            assert bench.journal(alice) == [(1, "t2")]
            assert len(running.answers) == len(breaking.answers) == 1

    asyncio.run(scenario())


def test_a_session_deleted_under_its_activation_is_not_found_by_its_old_keys() -> None:
    """The stale activation goes; asking again reads the store."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await bench.ask(alice, "t1").answer()
            bench.store.delete_session("default", "alice")
            assert await bench.ask(alice, "t1").error() == "moved"
            assert await bench.ask(alice, "t1").error() == "not_found"

    asyncio.run(scenario())


def test_a_streamed_turn_starts_once_and_a_late_joiner_is_caught_up() -> None:
    """Both see every token, with the same numbers."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await bench.ask(alice, "t0").answer()
            early = bench.ask(alice, "t1", Streamer(), tokens=2, gate="g")
            await until(lambda: len(early.events) >= 3)
            late = bench.ask(alice, "t1", Streamer(), tokens=2, gate="g")
            bench.program.gate("g").open()
            await early.answer()
            assert early.events == late.events == [("started", 1), (2, "answer", "0 "), (3, "answer", "1 ")]

    asyncio.run(scenario())


def test_half_a_surrogate_in_a_token_does_not_stop_the_stream() -> None:
    """A provider may cut a character in two."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()

            class Breaking(Streamer):
                def token(self, n: int, field: str, delta: str) -> None:
                    raise UnicodeEncodeError("utf-8", delta, 0, 1, "surrogates not allowed")

            assert (await bench.ask(alice, "t1", Breaking(), tokens=3).answer())["turn"] == 1

    asyncio.run(scenario())


def closed_gate(bench: Bench, name: str) -> Gate:
    """A gate that is still closed."""
    return bench.program.gate(name)


def test_who_has_left_is_told_nothing_that_breaks_others() -> None:
    """The turn runs on and is recorded."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            waiter = bench.ask(alice, "t1", gate="g")
            await until(lambda: closed_gate(bench, "g").reached == 1)
            bench.host.leave(waiter)
            bench.program.gate("g").open()
            await until(lambda: bench.journal(alice) == [(1, "t1")])
            await until(lambda: bench.host._owner == {})

    asyncio.run(scenario())


def test_a_turn_whose_client_left_while_the_session_was_read_is_cancelled() -> None:
    """When it asked for that."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            waiter = bench.ask(alice, "t1", cancel_on_disconnect=True)
            bench.host.leave(waiter)
            assert await waiter.error() == "cancelled"
            assert (await bench.ask(alice, "t2").answer())["turn"] == 1
            assert bench.host._owner == {}

    asyncio.run(scenario())


def test_a_lost_answer_of_the_journal_is_an_error_not_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the store raises."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await bench.ask(alice, "t1").answer()

            def broken(*_: object) -> None:
                raise ValueError("not what a store raises")

            monkeypatch.setattr(bench.store, "turn_by_id", broken)
            assert await bench.ask(alice, "t1").error() == "internal"

    asyncio.run(scenario())


def test_closing_tells_everybody_who_waits() -> None:
    """The outcome is unknown to the host that stops."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice, waiter = bench.session(), Heard()
            bench.ask(alice, "t1", waiter, gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            waiting = bench.ask(alice, "t2")
            await bench.close()
            assert await waiter.error() == "cancelled"  # it ran on the loop that was stopped
            assert await waiting.error() == "outcome_unknown"

    asyncio.run(scenario())


def test_an_older_lease_does_not_replace_a_newer_one() -> None:
    """Epochs only rise."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            (lease,) = bench.store.take_over([Lease(alice.unit, 1, "host-a")], "host-a")
            bench.renew(alice)
            bench.host.own([Lease(alice.unit, 1, "host-a")])
            assert (await bench.ask(alice, "t1").answer())["turn"] == 1
            assert lease.epoch == 2

    asyncio.run(scenario())


def test_waiting_for_a_lease_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that wait are sent back, in order, so that nobody overtakes."""
    monkeypatch.setattr(lease_wait, "LEASE_WAIT_S", 0.02)

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            bench.epochs[alice.unit] = 2
            waiters = [bench.ask(alice, "t1"), bench.ask(alice, "t2")]
            assert [await waiter.error() for waiter in waiters] == ["moved", "moved"]
            assert (len(bench.host._tenure._wait), bench.host._owner) == (0, {})

    asyncio.run(scenario())
