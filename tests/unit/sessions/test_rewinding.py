"""Rewinds in the session's core and in a host: they go the way of a turn, and leave no turn behind unread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.journal import Entry, Verdict
from dspex_actors.resources.session import SessionRecord
from dspex_actors.resources.turn import rewind_request
from dspex_actors.sessions.activation import Ask
from dspex_actors.sessions.events import Expire, Raised, Release
from dspex_actors.sessions.host import Host
from dspex_actors.sessions.session import Session
from dspex_actors.store.port import Lease, Store
from tests.unit.sessions.core import Bench as Core
from tests.unit.sessions.hosting import WAIT_S, Bench, Heard, Scripted, hosting, request


def seen(core: Core) -> list[str]:
    """What the next program is shown."""
    core.arrive("next")
    return [past.inputs["q"] for past in core.starts[-1].history]


def test_after_a_rewind_the_program_is_shown_the_conversation_of_that_turn() -> None:
    """And the next number is the last ever + 1."""
    core = Core()
    for name in "abc":
        core.turn(name)
    assert core.rewound("r", 1) == {"session": "alice", "turn_id": "r", "to_turn": 1, "next_turn": 4}
    assert seen(core) == ["a"]
    core.ran()
    core.committed()
    assert core.answer("next")["turn"] == 4


def test_expected_turn_is_the_last_ever_plus_one_also_after_a_rewind() -> None:
    """Not the number after the turn that was gone back to: that one has been given."""
    core = Core()
    for name in "abc":
        core.turn(name)
    core.rewound("r", 1)
    for expected in (2, 3, 5):
        core.arrive(f"e{expected}", expected_turn=expected)
        assert core.error(f"e{expected}") == "precondition_failed"
    core.arrive("d", expected_turn=4)
    core.ran()
    core.committed()
    assert core.answer("d")["turn"] == 4


def test_a_rewind_to_a_turn_that_was_left_restores_it() -> None:
    """Whatever came since."""
    core = Core()
    for name in "abc":
        core.turn(name)
    core.rewound("back", 1)
    core.turn("d")
    core.rewound("forth", 3)
    assert seen(core) == ["a", "b", "c"]


def test_a_rewind_waits_for_its_turn_and_turns_wait_for_it() -> None:
    """In the order of arrival; nothing is read before."""
    core = Core()
    core.arrive("a")
    core.rewind("r", 0)
    core.arrive("b")
    assert core.looks == []
    core.ran()
    core.committed()
    assert ([look.inputs["to_turn"] for look in core.looks], len(core.starts)) == ([0], 1)
    core.looked()
    core.committed()
    assert core.starts[-1].history == ()


def test_a_rewind_to_a_turn_that_waits_before_it_is_possible() -> None:
    """The number is looked at when the rewind starts."""
    core = Core()
    core.arrive("a")
    core.rewind("r", 1)
    core.ran()
    core.committed()
    core.looked()
    core.committed()
    assert core.answer("r")["to_turn"] == 1


def test_a_rewind_to_a_turn_that_is_not_there_is_refused() -> None:
    """Nothing is written, not even a failed attempt; the session goes on."""
    core = Core()
    core.turn("a")
    core.rewind("r", 2)
    assert (core.error("r"), core.failures, len(core.journal)) == ("not_found", [], 1)
    assert core.turn("b")["turn"] == 2


def test_a_retry_joins_the_rewind_or_is_answered_from_the_journal() -> None:
    """One entry; another body is refused, and so is a turn with its key."""
    core = Core()
    core.turn("a")
    core.rewind("r", 0)
    core.rewind("again", 0, "r")
    core.rewind("other", 1, "r")
    core.arrive("turn", "r")
    core.looked()
    core.committed()
    assert core.answer("r") == core.answer("again")
    assert [core.error(name) for name in ("other", "turn")] == ["idempotency_mismatch"] * 2
    core.rewind("late", 0, "r")
    assert (core.recalls, len(core.journal)) == (["r"], 2)


def test_a_rewind_whose_past_cannot_be_read_is_a_definite_error() -> None:
    """The next one waits no longer."""
    core = Core()
    core.turn("a")
    core.rewind("r", 0)
    core.arrive("b")
    core.tell(Raised(core.looks[-1].token, StoreUnavailable("It does not answer."), 0))
    assert (core.error("r"), core.failures) == ("store_unavailable", [])
    assert [past.inputs["q"] for past in core.starts[-1].history] == ["a"]


def test_a_rewind_expires_while_it_reads_and_not_when_it_is_written() -> None:
    """What it has read comes too late."""
    core = Core()
    core.turn("a")
    core.rewind("r", 0)
    core.tell(Expire(core.listener("r"), 0))
    core.looked()
    assert (core.error("r"), len(core.commits)) == ("deadline_exceeded", 1)
    core.rewind("s", 0)
    core.looked()
    core.tell(Expire(core.listener("s"), 0))
    core.committed()
    assert core.answer("s")["to_turn"] == 0


def test_a_rewind_moves_with_its_session() -> None:
    """While it reads, and when its commit finds another owner: the router sends it there."""
    core = Core()
    core.rewind("r", 0)
    core.tell(Release())
    assert core.error("r") == "moved"
    core = Core()
    core.rewind("r", 0)
    core.looked()
    core.committed(Verdict.MOVED)
    assert (core.error("r"), core.session.state.seq) == ("moved", 0)


# In a host ---------------------------------------------------------------------------------------------------------
def rewind(bench: Bench, record: SessionRecord, to_turn: int, key: str, host: Host | None = None) -> Heard:
    """Send a rewind; gives who waits for it."""
    waiter = Heard()
    sent = rewind_request(to_turn, key, WAIT_S)
    (host or bench.host).ask(Ask(record.uid, record.unit, bench.epochs[record.unit], 1, sent), waiter)
    return waiter


async def turns(bench: Bench, record: SessionRecord, *names: str) -> None:
    """Whole turns, one after the other."""
    for name in names:
        await bench.ask(record, name).answer()


@pytest.mark.parametrize("window", [0, 1, 2, 20])
def test_a_host_rewinds_as_far_as_the_program_is_shown(window: int) -> None:
    """The end of the conversation; the same after the session was read anew."""

    async def scenario() -> None:
        async with hosting(Scripted(history_window=window)) as bench:
            alice = bench.session()
            await turns(bench, alice, "a", "b", "c", "d")
            await rewind(bench, alice, 3, "r").answer()
            expected = ["a", "b", "c"][3 - min(window, 3) :]
            assert (await bench.ask(alice, "e").answer())["outputs"]["seen"] == expected
            await rewind(bench, alice, 3, "r2").answer()
            bench.host.restart(alice.uid, alice.unit)
            assert (await bench.ask(alice, "f").answer())["outputs"]["seen"] == expected

    asyncio.run(scenario())


def take_over(bench: Bench, record: SessionRecord, heir: Host) -> None:
    """The unit is the heir's; the host that had it is not told."""
    seen_leases = [lease for lease in bench.store.leases() if lease.unit == record.unit]
    won: list[Lease] = bench.store.take_over(seen_leases, heir.name)
    bench.epochs[record.unit] = won[0].epoch
    heir.own(won)


def test_a_rewind_that_was_acknowledged_is_there_after_a_takeover() -> None:
    """With its key; and the host that lost the session can no more rewind it than write a turn."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await turns(bench, alice, "a", "b", "c")
            first = await rewind(bench, alice, 1, "r").answer()
            heir = Host("host-b", bench.store, bench.host._waker._programs)
            take_over(bench, alice, heir)
            again = rewind(bench, alice, 1, "r", heir)
            assert (await again.answer(), again.replayed) == (first, True)
            bench.epochs[alice.unit] -= 1
            assert await rewind(bench, alice, 0, "zombie").error() == "moved"
            bench.epochs[alice.unit] += 1
            waiter = Heard()
            heir.ask(Ask(alice.uid, alice.unit, bench.epochs[alice.unit], 1, request("d")), waiter)
            assert (await waiter.answer())["outputs"]["seen"] == ["a"]
            await heir.close()

    asyncio.run(scenario())


def test_a_rewind_whose_past_cannot_be_read_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's error as it is, any other one without its text."""
    faults: list[Exception] = [StoreUnavailable("It does not answer."), ValueError("a secret")]

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await turns(bench, alice, "a")
            monkeypatch.setattr(bench.store, "conversation", fails)
            assert await rewind(bench, alice, 0, "r1").error() == "store_unavailable"
            assert await rewind(bench, alice, 0, "r2").error() == "internal"
            monkeypatch.undo()
            assert (await rewind(bench, alice, 0, "r1").answer())["to_turn"] == 0

    def fails(*_: Any) -> Any:
        raise faults.pop(0)

    asyncio.run(scenario())


def test_a_rewind_that_retention_overtakes_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """After what it goes back to was read, and before it is written; the session goes on."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice, commit = bench.session(), bench.store.commit
            await turns(bench, alice, "a", "b", "c")

            def overtaken(entries: Sequence[Entry]) -> list[Verdict]:
                bench.store.removal().remove(alice.uid, 2, 2)
                return commit(entries)

            monkeypatch.setattr(bench.store, "commit", overtaken)
            assert await rewind(bench, alice, 1, "r").error() == "gone"
            assert (await bench.ask(alice, "d").answer())["turn"] == 4

    asyncio.run(scenario())


def test_a_quarantined_session_is_not_rewound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until somebody restarts it, as with turns."""
    original = Session._arrive

    def arrive(self: Session, event: Any) -> Any:
        assert event.turn_id != "break"
        return original(self, event)

    monkeypatch.setattr(Session, "_arrive", arrive)

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await turns(bench, alice, "a")
            for _ in range(4):
                assert await bench.ask(alice, "break").error() == "internal"
            assert await rewind(bench, alice, 0, "r").error() == "quarantined"
            bench.host.restart(alice.uid, alice.unit)
            assert (await rewind(bench, alice, 0, "r").answer())["to_turn"] == 0

    asyncio.run(scenario())


def test_a_rewind_is_read_with_the_sessions_history_alone() -> None:
    """What the program may be shown, not more: a long session costs no more than a short one."""
    asked: list[tuple[int, int]] = []

    async def scenario() -> None:
        async with hosting(Scripted(history_window=2)) as bench:
            alice = bench.session()
            await turns(bench, alice, "a", "b", "c", "d")
            read = bench.store.conversation

            def conversation(uid: str, turn: int, newest: int) -> Any:
                asked.append((turn, newest))
                return read(uid, turn, newest)

            bench.store.conversation = conversation  # type: ignore[method-assign]
            await rewind(bench, alice, 4, "r").answer()
            assert asked == [(4, 2)]

    asyncio.run(scenario())


def test_the_journals_entry_of_a_rewind_says_where_it_went() -> None:
    """And what the last turn was, so that turns need not be read to know which came after which."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await turns(bench, alice, "a", "b")
            await rewind(bench, alice, 1, "r").answer()
            store: Store = bench.store
            entry = store.entries(alice.uid)[-1]
            assert (entry.kind, entry.turn, entry.turn_id) == ("rewind", None, "r")
            assert orjson.loads(entry.delta) == {"to_turn": 1, "last_turn": 2}

    asyncio.run(scenario())
