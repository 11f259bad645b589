"""The writer: group commit, refused entries, a store that does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from dspex_actors.clock import Clock, ManualClock, SystemClock
from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.journal import Entry, FailedTurn, Verdict
from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.journal import STALL_S, JournalWriter
from dspex_actors.store.opening import open_store
from dspex_actors.store.port import Store
from tests.unit.sessions.hosting import make_session

WAIT_S = 10.0


class Heard:
    """What the writer says, and a way to wait for it."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self.verdicts: list[tuple[str | None, Verdict]] = []
        self.stalls: list[str | None] = []

    def verdict(self, entry: Entry, verdict: Verdict) -> None:
        with self._news:
            self.verdicts.append((entry.turn_id, verdict))
            self._news.notify_all()

    def stall(self, entry: Entry) -> None:
        with self._news:
            self.stalls.append(entry.turn_id)
            self._news.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until the writer has said it."""
        with self._news:
            assert self._news.wait_for(condition, WAIT_S)


def turn(record: SessionRecord, seq: int, turn_id: str) -> Entry:
    """A session's turn."""
    return Entry(record.uid, seq, "turn", seq, turn_id, b"h" * 32, b"{}", 1, record.unit, 1)


def sessions(store: Store, count: int) -> list[SessionRecord]:
    """New sessions, whose units somebody owns at epoch 1."""
    records = [make_session(store, f"s{number}") for number in range(count)]
    store.seed_leases({record.unit: "host-a" for record in records})
    return records


@contextmanager
def writing(clock: Clock | None = None) -> Iterator[tuple[Store, JournalWriter, Heard]]:
    """A writer over a store in memory."""
    store, heard = open_store("sqlite://"), Heard()
    writer = JournalWriter(store, clock or SystemClock(), heard.verdict, heard.stall)
    yield store, writer, heard
    writer.close()
    store.close()


class Hold:
    """A store's `commit` that a test lets through, and that notes the batches."""

    def __init__(self, store: Store) -> None:
        self._commit = store.commit
        self.entered, self.open, self.down = threading.Semaphore(0), threading.Event(), False
        self.batches: list[int] = []
        self.asked = threading.Semaphore(0)

    def commit(self, entries: Sequence[Entry]) -> list[Verdict]:
        self.entered.release()
        assert self.open.wait(WAIT_S)
        self.asked.release()
        if self.down:
            raise StoreUnavailable("It does not answer.")
        self.batches.append(len(entries))
        return self._commit(entries)


def test_what_was_queued_meanwhile_is_committed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one transaction."""
    with writing() as (store, writer, heard):
        hold, records = Hold(store), sessions(store, 20)
        monkeypatch.setattr(store, "commit", hold.commit)
        writer.commit(turn(records[0], 1, "t"))
        assert hold.entered.acquire(timeout=WAIT_S)
        for record in records[1:]:
            writer.commit(turn(record, 1, "t"))
        hold.open.set()
        heard.wait(lambda: len(heard.verdicts) == 20)
        assert hold.batches == [1, 19]
        assert {verdict for _, verdict in heard.verdicts} == {Verdict.COMMITTED}


def test_an_entry_that_the_database_refuses_is_dropped_alone() -> None:
    """The rest of its batch is committed."""
    with writing() as (store, writer, heard):
        first, *others = sessions(store, 4)
        store.commit([turn(first, 1, "same")])
        for entry in [turn(first, 2, "same"), *(turn(record, 1, "new") for record in others)]:
            writer.commit(entry)
        heard.wait(lambda: len(heard.verdicts) == 4)
        assert sorted(heard.verdicts, key=str) == [("new", Verdict.COMMITTED)] * 3 + [("same", Verdict.DROPPED)]


def test_two_entries_of_one_session_are_committed_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a transaction takes only one."""
    with writing() as (store, writer, heard):
        hold, (record,) = Hold(store), sessions(store, 1)
        monkeypatch.setattr(store, "commit", hold.commit)
        for seq in (1, 2, 3):
            writer.commit(turn(record, seq, f"t{seq}"))
        hold.open.set()
        heard.wait(lambda: len(heard.verdicts) == 3)
        assert heard.verdicts == [(f"t{seq}", Verdict.COMMITTED) for seq in (1, 2, 3)]


def test_a_store_that_is_away_is_asked_again_and_its_callers_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 5 s; the verdict comes when the store is back."""
    clock = ManualClock()
    with writing(clock) as (store, writer, heard):
        hold, (record,) = Hold(store), sessions(store, 1)
        hold.down = True
        hold.open.set()
        monkeypatch.setattr(store, "commit", hold.commit)
        writer.commit(turn(record, 1, "t"))
        assert hold.asked.acquire(timeout=WAIT_S)
        assert hold.asked.acquire(timeout=WAIT_S)
        assert heard.stalls == []
        clock.advance(STALL_S)
        heard.wait(lambda: heard.stalls == ["t"])
        for _ in range(3):
            assert hold.asked.acquire(timeout=WAIT_S)
        hold.down = False
        heard.wait(lambda: heard.verdicts == [("t", Verdict.COMMITTED)])
        assert heard.stalls == ["t"]


def test_closing_writes_what_is_queued() -> None:
    """Entries and failed attempts."""
    store, heard = open_store("sqlite://"), Heard()
    writer = JournalWriter(store, SystemClock(), heard.verdict, heard.stall)
    records = sessions(store, 5)
    for record in records:
        writer.commit(turn(record, 1, "t"))
        writer.record(FailedTurn(record.uid, "f", 1, 0, b"{}", b"{}", 1), lambda: None)
    writer.close()
    assert heard.verdicts == [("t", Verdict.COMMITTED)] * 5
    assert [len(store.failures(record.uid)) for record in records] == [1] * 5
    store.close()


def test_a_failed_attempt_that_cannot_be_recorded_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for people to see; losing one is logged."""

    def broken(_: Any) -> None:
        raise StoreUnavailable("It does not answer.")

    with writing() as (store, writer, heard):
        (record,) = sessions(store, 1)
        monkeypatch.setattr(store, "record_failures", broken)
        writer.record(FailedTurn(record.uid, "f", 1, 0, b"{}", b"{}", 1), lambda: None)
        writer.commit(turn(record, 1, "t"))
        heard.wait(lambda: heard.verdicts == [("t", Verdict.COMMITTED)])
