"""Each session's own supervisor: restarts are counted per session, and too many end in quarantine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dspex_actors.clock import ManualClock
from dspex_actors.errors import Quarantined
from dspex_actors.sessions.guards import SPEC, Guards
from dspex_actors.sessions.session import Session
from supervisors import Exit
from tests.unit.sessions.hosting import hosting, until

BUG = Exit("crash", "AssertionError")


def crashed(times: int) -> tuple[Guards, ManualClock]:
    """A session `s` of the unit `u` that broke so often."""
    clock = ManualClock()
    guards = Guards(clock)
    for _ in range(times):
        guards.crashed("s", "u", BUG)
    return guards, clock


def test_a_session_that_breaks_within_its_intensity_may_wake_again() -> None:
    """And is counted."""
    guards, _ = crashed(SPEC.intensity)
    assert (guards.refusal("s"), guards.restarts("s")) == (None, SPEC.intensity)


def test_one_more_is_quarantine_and_no_neighbour_notices() -> None:
    """The sentence says why, and what to do."""
    guards, _ = crashed(SPEC.intensity + 1)
    with pytest.raises(Quarantined, match=r"crash: AssertionError.*restart"):
        raise guards.refusal("s") or AssertionError
    assert guards.refusal("neighbour") is None


def test_crashes_that_lie_apart_never_add_up() -> None:
    """The window moves on."""
    guards, clock = crashed(0)
    for _ in range(20):
        guards.crashed("s", "u", BUG)
        clock.advance(SPEC.max_seconds / SPEC.intensity + 0.1)
    assert (guards.refusal("s"), guards.restarts("s")) == (None, 20)


def test_a_restart_ends_the_quarantine_and_nothing_counts_any_more() -> None:
    """But the number of restarts goes on."""
    guards, _ = crashed(SPEC.intensity + 1)
    guards.restarted("s", "u")
    for _ in range(SPEC.intensity):
        guards.crashed("s", "u", BUG)
    assert (guards.refusal("s"), guards.restarts("s")) == (None, 2 * SPEC.intensity + 1)


def test_another_owner_of_the_unit_begins_anew() -> None:
    """What a host counted ends with its lease."""
    guards, _ = crashed(SPEC.intensity + 1)
    guards.release({"another"})
    assert guards.refusal("s") is not None
    guards.release({"u"})
    assert (guards.refusal("s"), guards.restarts("s")) == (None, 0)


def breaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions whose core breaks at every turn that is called `break`."""
    original = Session._arrive

    def arrive(self: Session, event: Any) -> Any:
        if event.turn_id.startswith("break"):
            raise AssertionError("an invariant")
        return original(self, event)

    monkeypatch.setattr(Session, "_arrive", arrive)


def test_a_session_that_keeps_breaking_is_refused_until_somebody_restarts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its recorded turns are there afterwards."""
    breaking(monkeypatch)

    async def scenario() -> None:
        async with hosting() as bench:
            alice, bob = bench.session(), bench.session("bob")
            await bench.ask(alice, "t1").answer()
            for number in range(SPEC.intensity + 1):
                assert await bench.ask(alice, f"break{number}").error() == "internal"
            assert await bench.ask(alice, "t2").error() == "quarantined"
            assert bench.host.peek([alice.uid, bob.uid]) == [("quarantined", SPEC.intensity), ("passive", 0)]
            assert (await bench.ask(bob, "t1").answer())["turn"] == 1
            assert bench.host.restart(alice.uid, alice.unit)
            assert (await bench.ask(alice, "t2").answer())["turn"] == 2

    asyncio.run(scenario())


def test_a_restart_cancels_what_runs_and_what_waits() -> None:
    """Nothing of them is in the state; the session goes on at once."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            turns = [bench.ask(alice, "t1", gate="g"), bench.ask(alice, "t2")]
            await until(lambda: bench.program.gate("g").reached == 1)
            assert bench.host.restart(alice.uid, alice.unit)
            assert [await turn.error() for turn in turns] == ["cancelled", "cancelled"]
            assert (await bench.ask(alice, "t3").answer())["turn"] == 1
            assert bench.journal(alice) == [(1, "t3")]

    asyncio.run(scenario())


def test_a_host_without_the_lease_restarts_nothing() -> None:
    """Whoever asks is told, and asks the one that has it."""

    async def scenario() -> None:
        async with hosting() as bench:
            assert not bench.host.restart("uid", "shard:none")

    asyncio.run(scenario())
