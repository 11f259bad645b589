"""The record of a host: written before an attempt begins, corrected before anybody hears how it ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson
import pytest

from dspex_actors.errors import HostLost, StoreUnavailable
from dspex_actors.resources.journal import FailedTurn
from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.activation import Ask
from tests.unit.sessions.hosting import Bench, Heard, hosting, request, until


def send(bench: Bench, record: SessionRecord, turn_id: str, losses: int, attempt: int = 2, **turn: Any) -> Heard:
    """A turn that was running at so many losses."""
    waiter = Heard()
    ask = Ask(record.uid, record.unit, bench.epochs[record.unit], attempt, request(turn_id, **turn), losses=losses)
    bench.host.ask(ask, waiter)
    return waiter


def codes(bench: Bench, record: SessionRecord) -> dict[int, str]:
    """What is on record, by attempt."""
    return {row.attempt: row.public()["error"]["code"] for row in bench.store.failures(record.uid)}


def lost_twice(bench: Bench, record: SessionRecord, turn_id: str) -> None:
    """It is on record as having run at two losses."""
    problem = orjson.dumps(HostLost("The host was lost.").problem())
    rows = [FailedTurn(record.uid, turn_id, number, 0, b"{}", problem, 1) for number in (1, 2)]
    bench.store.record_failures(rows)


def held_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Nothing is recorded before this is called."""
    gate, record = threading.Event(), bench.store.record_failures

    def slowly(rows: Sequence[FailedTurn]) -> None:
        gate.wait(5)
        record(rows)

    monkeypatch.setattr(bench.store, "record_failures", slowly)
    return gate.set


def test_a_suspect_begins_when_its_attempt_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """A neighbour does not wait for that."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice, bob = bench.session("alice"), bench.session("bob")
            go = held_back(bench, monkeypatch)
            suspect, neighbour = send(bench, alice, "t1", 1, gate="g"), bench.ask(bob, "t2")
            assert (await neighbour.answer())["turn"] == 1
            assert [call.turn_id for call in bench.program.calls] == ["t2"]
            go()
            await until(lambda: bench.program.gate("g").reached == 1)
            assert codes(bench, alice) == {1: "host_lost", 2: "host_lost"}
            bench.program.gate("g").open()
            assert (await suspect.answer())["attempts"] == 2
            await until(lambda: codes(bench, alice) == {1: "host_lost"})

    asyncio.run(scenario())


def test_a_store_that_is_away_is_asked_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn waits that long, and is on record once."""
    calls = []

    async def scenario() -> None:
        async with hosting() as bench:
            alice, record = bench.session(), bench.store.record_failures

            def rarely(rows: Sequence[FailedTurn]) -> None:
                calls.append(len(rows))
                if len(calls) < 3:
                    raise StoreUnavailable("Not now.")
                record(rows)

            monkeypatch.setattr(bench.store, "record_failures", rarely)
            assert (await send(bench, alice, "t1", 1).answer())["turn"] == 1
            assert calls == [2, 2, 2]

    asyncio.run(scenario())


def test_a_record_that_cannot_be_kept_fails_its_turn_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not begin; others of the same moment do."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice, bob, record = bench.session("alice"), bench.session("bob"), bench.store.record_failures

            def partly(rows: Sequence[FailedTurn]) -> None:
                if any(row.turn_id == "t1" for row in rows):
                    raise ValueError("not this one")
                record(rows)

            monkeypatch.setattr(bench.store, "record_failures", partly)
            bad, good = send(bench, alice, "t1", 1), send(bench, bob, "t2", 1)
            assert (await bad.error(), (await good.answer())["turn"]) == ("internal", 1)

    asyncio.run(scenario())


def test_a_retry_at_once_after_a_failure_is_no_further_loss() -> None:
    """The record was corrected before the failure was told."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            assert await send(bench, alice, "t1", 2, do="raise").error() == "program_failed"
            for attempt in (3, 4):
                assert await bench.ask(alice, "t1", do="raise").error() == "program_failed"
                assert codes(bench, alice)[attempt] == "program_failed"

    asyncio.run(scenario())


def test_a_host_that_stops_takes_back_what_it_still_runs() -> None:
    """It ends with the turn, not by it."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            suspect = send(bench, alice, "t1", 1, gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            assert codes(bench, alice)[2] == "host_lost"
            await bench.close()
            assert await suspect.error() in ("cancelled", "outcome_unknown")
            assert codes(bench, alice).get(2) != "host_lost"

    asyncio.run(scenario())


def test_a_session_that_is_restarted_takes_its_suspect_off_the_record() -> None:
    """Somebody stopped it; it did not stop its host."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            suspect = send(bench, alice, "t1", 2, gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            bench.host.restart(alice.uid, alice.unit)
            assert await suspect.error() == "cancelled"
            await until(lambda: codes(bench, alice) == {1: "host_lost"})

    asyncio.run(scenario())


def test_in_the_only_process_there_is_a_suspect_runs_as_if_alone() -> None:
    """When it ends that process, the next start refuses it."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            lost_twice(bench, alice, "t1")
            send(bench, alice, "t1", 1, attempt=3, gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            heir = Bench(bench.store, type(bench.program)())
            bench.store.inherit("host-a", heir.host.name)
            heir.renew(alice)
            assert await heir.ask(alice, "t1", gate="g").error() == "poison_turn"
            assert heir.program.calls == []
            await heir.close()

    asyncio.run(scenario())


def test_a_turn_that_must_run_alone_has_its_session_put_on_probation() -> None:
    """The host asks for it, and says as long as it is needed."""
    sought: list[tuple[str, int]] = []

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            lost_twice(bench, alice, "t1")
            bench.host.suspects.seek = lambda uid, shard: sought.append((uid, shard))
            suspect = send(bench, alice, "t1", 1, attempt=3, timeout_s=0.5)
            await until(lambda: bench.host.suspects.is_held(alice.uid))
            assert sought == [(alice.uid, alice.shard)]
            assert await suspect.error() == "no_capacity"
            assert not bench.host.suspects.is_held(alice.uid)

    asyncio.run(scenario())


@pytest.mark.parametrize("apart_s", [60.0, 0.0])
def test_suspects_begin_in_groups(monkeypatch: pytest.MonkeyPatch, apart_s: float) -> None:
    """1, 2, 4: the next when one has ended, or soon; what waits is not on record. Who is no suspect does not wait."""
    monkeypatch.setattr("dspex_actors.sessions.suspects.APART_S", apart_s)

    async def scenario() -> None:
        async with hosting() as bench:
            records = [bench.session(f"s{number}") for number in range(7)]
            sent = [send(bench, record, record.id, 1, gate=record.id) for record in records[:6]]
            groups = [[0, 1, 2, 3, 4, 5]] if apart_s == 0 else [[0], [1, 2], [3, 4, 5]]
            for group in groups:
                begun = group[-1] + 1
                await until(partial(lambda count: len(on_record(bench, records)) == count, begun))
                if group[0] == 0:
                    assert (await bench.ask(records[6], "t").answer())["turn"] == 1
                assert on_record(bench, records) == list(range(begun))
                for number in group:
                    await until(partial(lambda gate: gate.reached == 1, bench.program.gate(f"s{number}")))
                    bench.program.gate(f"s{number}").open()
                    await sent[number].answer()

    asyncio.run(scenario())


def on_record(bench: Bench, records: Sequence[SessionRecord]) -> list[int]:
    """Which of the sessions have a turn on record."""
    return [number for number, record in enumerate(records) if codes(bench, record)]


def test_a_suspect_whose_time_is_over_before_its_group_begins_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not looked up any more, and its session takes turns."""
    monkeypatch.setattr("dspex_actors.sessions.suspects.APART_S", 60.0)

    async def scenario() -> None:
        async with hosting() as bench:
            alice, bob = bench.session("alice"), bench.session("bob")
            first = send(bench, alice, "t1", 1, gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            assert await send(bench, bob, "t2", 1, timeout_s=0.2).error() == "deadline_exceeded"
            assert [call.turn_id for call in bench.program.calls] == ["t1"]
            assert (await bench.ask(bob, "t3").answer())["turn"] == 1
            bench.program.gate("g").open()
            assert (await first.answer())["turn"] == 1

    asyncio.run(scenario())
