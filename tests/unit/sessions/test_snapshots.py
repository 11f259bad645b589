"""Snapshots by a host: when, of what, and never in a turn's way."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.clock import SystemClock
from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.session import SessionRecord
from dspex_actors.resources.snapshot import Snapshot
from dspex_actors.sessions import snapshots
from dspex_actors.sessions.activation import read_session
from dspex_actors.sessions.limits import HostLimits
from dspex_actors.sessions.reading import Read, recollect
from dspex_actors.sessions.session import Session
from dspex_actors.sessions.snapshots import Policy, Snapshots
from dspex_actors.sessions.state import Tail, empty, replay
from dspex_actors.store.port import Store
from tests.unit.sessions.hosting import TENANT, Bench, Scripted, ScriptedPrograms, hosting, until

LOOK_ALIKES = ("tgnyijstj", "tetislvlf")
"""Two ids that are told apart by the journal alone."""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "PAUSE_S", 0)


def newest(bench: Bench, record: SessionRecord) -> Snapshot | None:
    """The session's newest snapshot."""
    return bench.store.memory(record.uid, 1_000).snapshot


async def converse(bench: Bench, record: SessionRecord, first: int, last: int) -> None:
    """Whole turns, one after the other."""
    for number in range(first, last + 1):
        await bench.ask(record, f"t{number}").answer()


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 9000)), max_size=60))
def test_snapshots_at_most_double_what_is_written(turns: list[tuple[int, int]]) -> None:
    """Whatever is written, and however large the state grows."""
    policy, tail, journal, kept = Policy(entries=3, bytes=4_000), Tail(), 0, 0
    last = 0
    for size, state in turns:
        tail.entries, tail.bytes, journal = tail.entries + 1, tail.bytes + size, journal + size
        if policy.due(tail):
            kept, last = kept + last, state
            tail = Tail(behind_bytes=state)
    assert kept <= journal


@pytest.mark.parametrize(
    ("tail", "due"),
    [(Tail(99, 9), False), (Tail(100, 9), True), (Tail(1, 262_144), True), (Tail(500, 9, 10), False)],
)
def test_a_snapshot_is_due_after_so_many_entries_or_bytes(tail: Tail, due: bool) -> None:
    """But not before they are as much as the last one was."""
    assert Policy().due(tail) is due


def test_a_host_writes_snapshots_of_what_was_committed() -> None:
    """The next one who reads the session reads less, and finds the same."""

    async def scenario() -> None:
        async with hosting(limits=HostLimits(snapshots=Policy(entries=3))) as bench:
            alice = bench.session()
            await converse(bench, alice, 1, 4)
            await until(lambda: newest(bench, alice) is not None)
            await converse(bench, alice, 5, 7)
            await bench.close()
            read: Any = read_session(bench.store, ScriptedPrograms(bench.program), alice.uid, 1)  # type: ignore[arg-type]
            session: Session = read[0]
            assert session.state == replay(bench.store.entries(alice.uid), 20)
            assert session.state.tail.entries < 5

    asyncio.run(scenario())


def test_what_is_due_at_the_end_is_written() -> None:
    """Several sessions' in one transaction."""

    async def scenario() -> None:
        async with hosting(limits=HostLimits(snapshots=Policy(entries=1))) as bench:
            records = [bench.session(name) for name in ("alice", "bob")]
            await asyncio.gather(*(converse(bench, record, 1, 1) for record in records))
            await bench.close()
            assert [found.seq for record in records if (found := newest(bench, record))] == [1, 1]

    asyncio.run(scenario())


def test_a_snapshot_that_cannot_be_written_is_no_turns_matter(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged; the next one is made."""
    faults: list[Exception] = [StoreUnavailable("It does not answer."), ValueError("a bug")]

    async def scenario() -> None:
        async with hosting(limits=HostLimits(snapshots=Policy(entries=1))) as bench:
            alice = bench.session()
            put = bench.store.put_snapshots

            def fails_twice(made: Any) -> None:
                if faults:
                    raise faults.pop()
                put(made)

            monkeypatch.setattr(bench.store, "put_snapshots", fails_twice)
            for number in range(1, 4):
                await converse(bench, alice, number, number)
                await until(lambda left=3 - number: len(faults) <= max(0, left - 1))  # type: ignore[misc]
            await until(lambda: newest(bench, alice) is not None)

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert caplog.text.count("snapshots were not written") == 2


def test_one_session_that_cannot_be_read_takes_no_snapshot_from_another(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, with its name."""

    async def scenario() -> None:
        async with hosting(limits=HostLimits(snapshots=Policy(entries=1))) as bench:
            alice, bob = bench.session("alice"), bench.session("bob")

            def read(store: Store, record: SessionRecord, window: int) -> Read:
                if record.uid == alice.uid:
                    raise KeyError("inputs")
                return recollect(store, record, window)

            monkeypatch.setattr(snapshots, "recollect", read)
            monkeypatch.setattr(snapshots, "PAUSE_S", 60)  # both are due in one batch: `close` ends the pause
            await asyncio.gather(*(converse(bench, record, 1, 1) for record in (alice, bob)))
            await bench.close()
            assert (newest(bench, alice), newest(bench, bob) is not None) == (None, True)
        assert alice.uid in caplog.text

    asyncio.run(scenario())


def test_a_session_that_was_deleted_gets_no_snapshot() -> None:
    """That is no fault either."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            bench.store.delete_session(TENANT, "alice")
            session = Session(alice, 1, empty(20))
            session.state.tail = Tail(entries=100)
            maker = Snapshots(bench.store, SystemClock())
            maker.consider(session)
            maker.close()
            assert newest(bench, alice) is None

    asyncio.run(scenario())


def test_a_fresh_turn_that_looks_recorded_runs_once() -> None:
    """The journal is asked, then it runs as any other; its inputs are checked, and a retry gets its answer."""
    first, second = LOOK_ALIKES

    async def scenario() -> None:
        async with hosting(Scripted()) as bench:
            alice = bench.session()
            await bench.ask(alice, first).answer()
            assert await bench.ask(alice, second, do="refuse").error() == "invalid_request"
            answer = await bench.ask(alice, second).answer()
            assert (answer["turn"], answer["outputs"]["answer"]) == (2, second)
            again = bench.ask(alice, second)
            assert (await again.answer(), again.replayed) == (answer, True)
            assert bench.journal(alice) == [(1, first), (2, second)]

    asyncio.run(scenario())
