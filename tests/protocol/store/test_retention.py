"""Retention over a real store: what is removed is gone, and every state is what it was."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import String, Text, func, or_, select

from dspex_actors.clock import ManualClock
from dspex_actors.errors import Gone, PreconditionFailed
from dspex_actors.resources.journal import Entry, FailedTurn, Verdict, entry_answer
from dspex_actors.resources.losses import losses_of
from dspex_actors.resources.retention import Retention
from dspex_actors.resources.session import ForkSpec, SessionRecord, SessionSpec
from dspex_actors.resources.turn import rewind_request
from dspex_actors.sessions.reading import recollect
from dspex_actors.sessions.state import State, replay, values_of
from dspex_actors.sessions.sweeper import Sweeper
from dspex_actors.sessions.turn_ids import TurnIds
from dspex_actors.store import Idempotency, Page, Store, open_store
from dspex_actors.store.schema import metadata
from tests.protocol.store.driving import Driven
from tests.protocol.store.making import TENANT, make_program, make_session, turn_of
from tests.protocol.store.test_snapshots import snapshot_of, snapshots
from tests.protocol.store.test_time_travel import entry_of, live, woken
from tests.protocol.store.test_variables import VALUES, VariablesLaw, drive, put
from tests.support.time_travel import TURN, Law

ALL = Retention()
WINDOW = 3
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("turn"), VALUES),
        st.tuples(st.just("turn"), VALUES),
        st.tuples(st.just("put"), VALUES),
        st.tuples(st.just("replace"), VALUES),
        st.tuples(st.just("rewind"), st.integers(0, 30)),
        st.tuples(st.just("keep"), st.none()),
        st.tuples(st.just("wake"), st.none()),
        st.tuples(st.sampled_from(["remove", "sweep", "wipe"]), st.integers(1, 6)),
    ),
    max_size=30,
)


def sweeper(store: Store, clock: ManualClock | None = None, window: int = WINDOW) -> Sweeper:
    """One that waits for nobody."""
    return Sweeper(store, lambda uid: window, clock or ManualClock(), grace_s=0)


def keep(store: Store, clock: ManualClock | None = None, **what: Any) -> None:
    """Let the tenant keep no more than that, and sweep."""
    store.put_retention(TENANT, Retention(**what), ALL)
    sweeper(store, clock).sweep()


@dataclass
class Remembered:
    """A session, and its journal as it was before anything was removed."""

    store: Store
    driven: Driven
    law: VariablesLaw = field(default_factory=VariablesLaw)
    full: list[Entry] = field(default_factory=list)

    @property
    def record(self) -> SessionRecord:
        """Its row of now."""
        return self.store.load_session(self.driven.uid)

    def step(self, kind: str, what: Any) -> None:
        """Do it: to the session, to the law, or to what is kept."""
        swept = self.record.swept_seq
        match kind:
            case "remove":
                self.remove(what)
            case "sweep":
                keep(self.store, journal_turns=what)
            case "wipe":
                self.store.put_retention(TENANT, ALL, ALL)
                sweeper(self.store).sweep()
            case "rewind" if 0 < what % len(self.law.after) <= self.record.removed_turns:
                with pytest.raises(Gone, match="was removed"):
                    self.driven.ask(rewind_request(what % len(self.law.after), None, 9.0))
            case _:
                self.law.step(self.driven, kind, what)
        self.full += self.store.entries(self.driven.uid, len(self.full))
        if self.record.swept_seq > swept:
            self.check_leftovers()

    def check_leftovers(self) -> None:
        """Of removed entries there are the exchanges that are shown, one entry's values, and where rewinds went."""
        removed = [entry for entry in self.store.entries(self.driven.uid) if entry.seq <= self.record.removed_seq]
        course = replace(self.store.course(self.driven.uid), removed=self.record.removed_turns)
        assert {entry.turn for entry in removed if entry.has_exchange} == course.context(WINDOW)
        assert sum(values_of(entry) is not None for entry in removed) <= 1
        for entry in removed:
            assert entry.is_removed or entry.has_exchange or entry.kind == "rewind" or values_of(entry) is not None

    def remove(self, turns: int) -> None:
        """The first half of a sweep, as if it had been killed then."""
        steps = self.store.removal()
        kept = next(kept for kept in steps.sessions(TENANT, "", 1_000) if kept.uid == self.driven.uid)
        steps.remove(kept.uid, *steps.bound(kept, turns, None))

    def after(self, turn: int) -> State:
        """What a fork at that turn must be."""
        seq = next((entry.seq for entry in self.full if entry.turn == turn), 0)
        return replace(replay(self.full[:seq], WINDOW), seq=seq + 1, turn_ids=TurnIds())

    def check_forks(self) -> None:
        """At each turn that is left, before and after it was swept itself; none at the others."""
        for turn in range(self.record.turns + 1):
            if 0 < turn <= self.record.removed_turns:
                with pytest.raises(Gone):
                    self.store.fork_session(TENANT, self.record.id, ForkSpec(at_turn=turn))
                continue
            fork = self.store.fork_session(TENANT, self.record.id, ForkSpec(at_turn=turn)).value
            assert woken(self.store, fork.uid, WINDOW) == self.after(turn)
            keep(self.store, journal_turns=1)
            assert woken(self.store, fork.uid, WINDOW) == self.after(turn)
            self.store.delete_session(TENANT, fork.id)


def test_what_is_left_says_what_the_whole_journal_said(store: Store) -> None:
    """With turns, rewinds, variables, snapshots, takeovers, and sweeps whole, half and half again, anywhere."""

    @settings(max_examples=40, deadline=None)
    @given(STEPS)
    def law_holds(steps: list[tuple[str, Any]]) -> None:
        remembered = Remembered(store, drive(store))
        for kind, what in steps:
            remembered.step(kind, what)
            whole = replay(remembered.full, WINDOW)
            assert remembered.driven.session.state == whole
            assert recollect(store, remembered.record, WINDOW).state(WINDOW) == whole
            assert whole.variables == remembered.law.now
        store.delete_session(TENANT, remembered.record.id)

    law_holds()


def test_a_fork_of_what_is_left_is_the_session_as_it_was(store: Store) -> None:
    """At each turn that is left; whatever is removed of either later is only its own."""

    @settings(max_examples=8, deadline=None)
    @given(STEPS)
    def law_holds(steps: list[tuple[str, Any]]) -> None:
        remembered = Remembered(store, drive(store))
        for kind, what in steps:
            remembered.step(kind, what)
        remembered.check_forks()
        store.delete_session(TENANT, remembered.record.id)

    law_holds()


def test_removed_turns_are_gone_and_their_keys_stay(store: Store) -> None:
    """Nobody reads them, and nobody commits one of their keys again."""
    session, _ = live(store, [TURN] * 9, "alice")
    keep(store, journal_turns=4)
    assert store.load_session(session.uid).removed_turns == 5
    with pytest.raises(Gone, match=r"Turn 5 was removed, .* the oldest one left is 6"):
        store.turn(session.uid, 5)
    entry = store.turn_by_id(session.uid, "id-5")
    assert entry is not None
    assert (entry.is_removed, entry.turn) == (True, 5)
    with pytest.raises(Gone, match="id-5"):
        entry_answer("alice", entry)
    assert [each.turn for each in store.turns(session.uid, Page()).items] == [6, 7, 8, 9]


def test_only_what_the_state_needs_is_left_of_removed_entries(store: Store) -> None:
    """Three turns are shown before turn 6; of the others the text has left the database."""
    session, _ = live(store, [TURN] * 9)
    store.put_retention(TENANT, Retention(journal_turns=4), ALL)
    store.put_snapshots([])
    sweeper(store).sweep()
    left = {entry.seq: bool(entry.delta) for entry in store.entries(session.uid)}
    assert left == {1: False, 2: False, 3: False} | dict.fromkeys(range(4, 10), True)
    assert snapshots(store, session.uid) == [9]


def test_days_remove_what_is_older_whether_it_is_a_turn_or_not(store: Store, clock: ManualClock) -> None:
    """A session that was not used for long keeps its state, and nothing that can be read."""
    driven = drive(store)
    driven.turn(a=1)
    put(driven, b="x")
    before = driven.session.state
    clock.advance(3 * 24 * 3600)
    keep(store, clock, journal_days=2.5)
    driven.wake()
    assert driven.session.state == before
    assert (store.load_session(driven.uid).removed_turns, store.turns(driven.uid, Page()).items) == (1, [])
    with pytest.raises(Gone, match="no turn is left"):
        driven.ask(rewind_request(1, None, 9.0))
    assert driven.ask(rewind_request(0, None, 9.0))["next_turn"] == 2


def test_a_rewind_to_what_was_removed_meanwhile_is_not_committed(store: Store) -> None:
    """It was prepared before; a repeat of one that was committed before is that one."""
    session, law = live(store, [TURN] * 6)
    before, late = (entry_of(session, 7, law, 2), entry_of(session, 8, law, 1))
    assert store.commit([before]) == [Verdict.COMMITTED]
    keep(store, journal_turns=2)
    assert store.commit([before]) == [Verdict.COMMITTED]
    with pytest.raises(Gone):
        store.commit([late])
    assert store.load_session(session.uid).seq == 7
    assert woken(store, session.uid, 9).history == replay(store.entries(session.uid)[:2], 9).history


def test_a_commit_whose_answer_was_lost_is_found_also_when_it_was_removed(store: Store, clock: ManualClock) -> None:
    """It is repeated until it is answered, however long that takes; also of one that a program is still shown."""
    session = make_session(store)
    shown = b'{"inputs":{},"outputs":{},"usage":{}}'
    entries = [replace(turn_of(session, n), delta=shown) for n in range(1, 6)]
    for entry in entries:
        store.commit([entry])
    clock.advance(10**9)
    keep(store, clock, journal_days=1)
    assert {entry.delta for entry in store.entries(session.uid)} == {b"", b'{"inputs":{},"outputs":{}}'}
    for entry in entries:
        assert store.commit([entry]) == [Verdict.COMMITTED]
        assert store.commit([replace(entry, at_us=7)]) == [Verdict.DROPPED]


@dataclass
class Between:
    """A store in which a sweep comes between the steps of a reading: before the call of that name."""

    store: Store
    name: str

    def __getattr__(self, name: str) -> Any:
        if name == self.name:
            keep(self.store, journal_turns=1)
        return getattr(self.store, name)


@pytest.mark.parametrize("name", ["memory", "tail", "read_turns", "load_session"])
def test_a_sweep_in_the_middle_of_an_activation_changes_nothing_that_it_reads(store: Store, name: str) -> None:
    """Whatever it has read by then; with a snapshot and without."""
    driven = drive(store)
    for n in range(6):
        driven.turn(a=n)
    before, record = driven.session.state, store.load_session(driven.uid)
    assert recollect(cast("Store", Between(store, name)), record, WINDOW).state(WINDOW) == before
    put(driven, b="x")
    driven.keep()
    driven.turn()
    before, record = driven.session.state, store.load_session(driven.uid)
    assert recollect(cast("Store", Between(store, name)), record, WINDOW).state(WINDOW) == before


def test_several_sweeps_at_once_do_no_harm(url: str, clock: ManualClock) -> None:
    """Beside turns that go on; nothing is wiped out twice, and no state is another one."""
    with closing(open_store(url, clock=clock)) as store:
        session, law = live(store, [TURN] * 120)
        store.put_retention(TENANT, Retention(journal_turns=2), ALL)
        threads = [threading.Thread(target=sweeper(store).sweep) for _ in range(3)]
        for thread in threads:
            thread.start()
        for seq in range(121, 141):
            assert store.commit([entry_of(session, seq, law, TURN)]) == [Verdict.COMMITTED]
        for thread in threads:
            thread.join()
        sweeper(store).sweep()
        assert [past.inputs["q"] for past in woken(store, session.uid, WINDOW).history] == [138, 139, 140]
        assert [entry.seq for entry in store.entries(session.uid) if not entry.is_removed] == [137, 138, 139, 140]


def test_a_longer_window_shows_what_is_left(store: Store) -> None:
    """Back to the first turn that is gone, in one piece."""
    session, _ = live(store, [TURN] * 9)
    keep(store, journal_turns=2)
    state = woken(store, session.uid, 100)
    assert [past.inputs["q"] for past in state.history] == [6, 7, 8, 9]
    with pytest.raises(Gone):
        store.conversation(session.uid, 7, 1)
    assert [entry.turn for entry in store.conversation(session.uid, 8, 100)] == [6, 7, 8]


def test_of_a_turn_whose_variables_alone_are_left_nothing_is_shown(store: Store) -> None:
    """To a longer window: it wakes, it can be gone back to and swept again, and it has its variables."""
    driven = drive(store)
    for n in range(9):
        driven.turn(**({"a": n} if n < 3 else {}))
    keep(store, journal_turns=2)
    state = woken(store, driven.uid, 100)
    assert ([past.inputs["q"] for past in state.history], state.variables) == ([6, 7, 8, 9], {"a": 2})
    assert [entry.turn for entry in store.conversation(driven.uid, 8, 100)] == [6, 7, 8]
    store.put_retention(TENANT, Retention(journal_turns=1), ALL)
    sweeper(store, window=100).sweep()
    assert list(store.removal().unswept("", 9)) == []
    assert woken(store, driven.uid, 100).variables == {"a": 2}


def test_old_failed_attempts_are_removed_but_no_verdict_and_none_that_may_run(store: Store, clock: ManualClock) -> None:
    """A key that was found to be poison stays refused; one that lost a host of its own is found to be when it comes."""
    session, now = make_session(store), clock.now_us()
    problems = {
        "alone": b'{"code":"host_lost","alone":true}',
        "old": b'{"code":"lm_failed"}',
        "poison": b'{"code":"poison_turn"}',
        "runs": b'{"code":"host_lost"}',
    }
    for name, problem in problems.items():
        store.record_failures([FailedTurn(session.uid, name, 1, 0, b'{"q":1}', problem, now)])
    clock.advance(3600)
    keep(store, clock, failed_days=0.01)
    assert [(each.turn_id, each.inputs) for each in store.failures(session.uid)] == [
        ("alone", b'{"q":1}'),
        ("poison", b"{}"),
        ("runs", b'{"q":1}'),
    ]
    clock.advance(7200)
    keep(store, clock, failed_days=0.01)
    left = store.failures(session.uid)
    assert [(each.turn_id, each.inputs) for each in left] == [("alone", b"{}"), ("poison", b"{}")]
    assert losses_of(left[:1]).alone is not None


def test_each_tenant_has_its_own_and_the_default_is_for_the_others(store: Store) -> None:
    """Null keeps everything also where the default does not."""
    default = Retention(journal_turns=7)
    store.put_retention("a", ALL, default)
    store.put_retention("b", Retention(journal_days=1), default)
    make_session(store)
    assert store.removal().tenants(default) == {TENANT: default, "b": Retention(journal_days=1)}
    assert store.removal().tenants(ALL) == {"b": Retention(journal_days=1)}
    with pytest.raises(PreconditionFailed):
        store.put_retention("b", None, default, if_match=default.etag)
    store.put_retention("b", None, default, if_match=Retention(journal_days=1).etag)
    assert store.retention("b") is None


def test_one_sweeps_in_each_interval(store: Store, clock: ManualClock) -> None:
    """Whoever asks first."""
    assert [store.claim_sweep(60), store.claim_sweep(60)] == [True, False]
    clock.advance(60)
    assert store.claim_sweep(60)


def test_a_clock_that_was_ahead_holds_up_no_sweep(url: str, clock: ManualClock) -> None:
    """Of a machine that is gone, perhaps."""
    ahead = ManualClock()
    ahead.advance(10**6)
    with closing(open_store(url, clock=ahead)) as wrong, closing(open_store(url, clock=clock)) as right:
        assert wrong.claim_sweep(60)
        assert [right.claim_sweep(60), right.claim_sweep(60)] == [True, False]


def test_a_deleted_session_leaves_no_row_in_any_table(store: Store) -> None:
    """After turns, failures, a snapshot and retention; its fork answers everything."""
    session = in_every_table(store, "alice")
    keep(store, journal_turns=2)
    fork = store.fork_session(TENANT, "alice", ForkSpec(id="bob")).value
    before = woken(store, fork.uid, WINDOW)
    store.delete_session(TENANT, "alice")
    assert rows_of(store, session.uid) == {}
    assert woken(store, fork.uid, WINDOW) == before
    assert [each.turn for each in store.turns(fork.uid, Page()).items] == [4, 5]


def in_every_table(store: Store, name: str) -> SessionRecord:
    """A session that is in each table that a session can be in."""
    make_program(store)
    spec = SessionSpec(program="qa", id=name, isolation="dedicated")
    session = store.create_session(TENANT, spec, Idempotency(TENANT, "p", "r", "k", b"h")).value
    (lease,) = (lease for lease in store.leases() if lease.unit == session.unit)
    law = Law()
    for seq in range(1, 6):
        entry = replace(entry_of(session, seq, law, TURN), epoch=lease.epoch)
        assert store.commit([entry]) == [Verdict.COMMITTED]
    store.record_failures([FailedTurn(session.uid, "t", 1, 0, b"{}", b"{}", 1)])
    store.put_snapshots([snapshot_of(store, session.uid)])
    return store.load_session(session.uid)


def rows_of(store: Store, uid: str) -> dict[str, int]:
    """How many rows of each table say the uid, in whatever column that is a text; tables with none are left out."""
    found: dict[str, int] = {}
    with store._database.read() as connection:  # type: ignore[attr-defined]
        for table in metadata.sorted_tables:
            texts = [column.contains(uid) for column in table.c if type(column.type) in (String, Text)]
            if number := connection.scalar(select(func.count()).select_from(table).where(or_(*texts))):
                found[table.name] = number
    return found


def test_the_rows_of_a_session_are_found_where_they_are(store: Store) -> None:
    """So that finding none means something: in each table with a `uid`, and its own lease. A new table comes here."""
    of_sessions = {table.name for table in metadata.sorted_tables if "uid" in table.c} - {"program"}
    session = in_every_table(store, "alice")
    assert set(rows_of(store, session.uid)) == of_sessions | {"lease"}
