"""Changes that are no turns, in a host: in line with the turns, kept by a takeover, and never half done."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.program import ProgramChange
from dspex_actors.resources.session import OnBusy, SessionRecord
from dspex_actors.resources.turn import TurnRequest, bind_request, variable_request
from dspex_actors.resources.variables import Variable
from dspex_actors.sessions.activation import Ask
from tests.unit.sessions.hosting import TENANT, WAIT_S, Bench, Heard, Scripted, hosting, until

DECLARED = {"level": Variable(type="int", range=(0, 9), default=1)}


def tutor() -> Scripted:
    """A program with a variable; `set=…` of a turn's inputs are what it sets."""
    return Scripted(variables=dict(DECLARED))


def send(bench: Bench, record: SessionRecord, change: TurnRequest) -> Heard:
    """Send a change; gives who waits for it."""
    waiter = Heard()
    bench.host.ask(Ask(record.uid, record.unit, bench.epochs[record.unit], 1, change), waiter)
    return waiter


def put(bench: Bench, record: SessionRecord, level: Any, key: str) -> Heard:
    """Set the variable."""
    return send(bench, record, variable_request({"level": level}, False, None, key, WAIT_S))


def level_of(answer: dict[str, Any]) -> int:
    """What the turn was given."""
    level: int = answer["outputs"]["variables"]["level"]
    return level


def test_a_change_is_seen_by_the_next_turn_and_not_by_the_one_that_runs() -> None:
    """In the order of arrival."""

    async def scenario() -> None:
        async with hosting(tutor()) as bench:
            alice = bench.session()
            running = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            changed, after = put(bench, alice, 5, "p"), bench.ask(alice, "t2")
            bench.program.gate("g").open()
            assert [level_of(await turn.answer()) for turn in (running, after)] == [1, 5]
            assert (await changed.answer())["seq"] == 2
            assert bench.journal(alice) == [(1, "t1"), (None, "p"), (2, "t2")]

    asyncio.run(scenario())


def test_what_a_turn_sets_is_there_with_it_or_not_at_all() -> None:
    """A turn that fails sets nothing; nor does one that sets what is not allowed."""

    async def scenario() -> None:
        async with hosting(tutor()) as bench:
            alice = bench.session()
            assert await bench.ask(alice, "t1", set={"level": 7}, do="raise").error() == "program_failed"
            assert await bench.ask(alice, "t2", set={"level": 99}).error() == "invalid_request"
            assert level_of(await bench.ask(alice, "t3").answer()) == 1
            assert level_of(await bench.ask(alice, "t4", set={"level": 7}).answer()) == 7
            assert level_of(await bench.ask(alice, "t5").answer()) == 7
            deltas = [orjson.loads(entry.delta) for entry in bench.store.entries(alice.uid)]
            assert [delta.get("variables") for delta in deltas] == [None, {"level": 7}, None]
            assert deltas[2]["variables_at"] == 2

    asyncio.run(scenario())


def test_a_retry_of_a_change_gets_its_answer() -> None:
    """One entry; another body with its key is refused; a bad value is no entry at all."""

    async def scenario() -> None:
        async with hosting(tutor()) as bench:
            alice = bench.session()
            first = await put(bench, alice, 5, "p").answer()
            again = put(bench, alice, 5, "p")
            assert (await again.answer(), again.replayed) == (first, True)
            assert await put(bench, alice, 6, "p").error() == "idempotency_mismatch"
            assert await put(bench, alice, 10, "q").error() == "invalid_request"
            assert len(bench.journal(alice)) == 1

    asyncio.run(scenario())


def test_a_change_needs_no_model_and_no_program() -> None:
    """Nothing runs, and no failed attempt is kept."""

    async def scenario() -> None:
        async with hosting(tutor()) as bench:
            alice = bench.session()
            await put(bench, alice, 5, "p").answer()
            await put(bench, alice, 50, "q").error()
            assert (bench.program.calls, bench.store.failures(alice.uid)) == ([], [])

    asyncio.run(scenario())


def test_a_bound_session_runs_what_it_was_bound_to() -> None:
    """With the model of then on; the row says so."""

    async def scenario() -> None:
        async with hosting(tutor()) as bench:
            alice = bench.session()
            bench.store.change_program(TENANT, "qa", ProgramChange(instructions="Go."))
            bound = await send(bench, alice, bind_request({"program": "qa@2", "lm": "m"}, None, "b", WAIT_S)).answer()
            await bench.ask(alice, "t1").answer()
            assert (bound["binding"]["version"], bench.program.calls[-1].lm) == (2, "m")
            record = bench.store.load_session(alice.uid)
            assert (record.version, record.lm, record.changed) == (2, "m", 1)

    asyncio.run(scenario())


def test_a_version_that_cannot_be_asked_for_stops_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that follows runs the version that it has; the next turn asks again."""

    async def scenario() -> None:
        async with hosting(tutor()) as bench:
            alice = bench.session()
            await send(bench, alice, bind_request({"version_policy": "follow"}, None, "b", WAIT_S)).answer()
            bench.store.change_program(TENANT, "qa", ProgramChange(instructions="Go."))
            bench.store.promote_program(TENANT, "qa", 2)
            monkeypatch.setattr(bench.store, "get_program", unreachable)
            await bench.ask(alice, "t1").answer()
            monkeypatch.undo()
            await bench.ask(alice, "t2").answer()
            turns = [orjson.loads(entry.delta) for entry in bench.store.entries(alice.uid) if entry.kind == "turn"]
            assert [turn["version"] for turn in turns] == [1, 2]

    asyncio.run(scenario())


def unreachable(*_: Any) -> Any:
    """As when the store does not answer."""
    raise StoreUnavailable("It does not answer.")


def test_cancelling_what_runs_means_a_turn_and_no_step_of_the_sessions_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it asks for its version, the turn that waits for that is the one."""

    async def scenario() -> None:
        async with hosting(tutor()) as bench:
            alice = bench.session()
            await send(bench, alice, bind_request({"version_policy": "follow"}, None, "b", WAIT_S)).answer()
            monkeypatch.setattr(bench.host._waker, "look", lambda *_: None)
            turn = bench.ask(alice, "t1")
            await until(lambda: bool(bench.host._active[alice.uid].session.mailbox))  # type: ignore[union-attr]
            found = bench.host.cancel(alice.uid, alice.unit, None, "")
            assert found is not None
            assert (found.cancelled, await turn.error()) == (("t1",), "cancelled")

    asyncio.run(scenario())


@pytest.mark.parametrize("on_busy", ["reject", "interrupt"])
def test_a_change_waits_in_line_whatever_the_policy(on_busy: OnBusy) -> None:
    """It interrupts no turn, and is not refused for one that runs; nor does a newer turn interrupt it."""

    async def scenario() -> None:
        async with hosting(tutor()) as bench:
            alice = bench.session("alice", on_busy)
            running = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            changed = put(bench, alice, 5, "p")
            newer = bench.ask(alice, "t2") if on_busy == "interrupt" else None
            bench.program.gate("g").open()
            assert (await changed.answer())["values"] == {"level": 5}
            if newer is None:
                assert (await running.answer())["turn"] == 1
            else:
                assert (await running.error(), level_of(await newer.answer())) == ("cancelled", 5)

    asyncio.run(scenario())
