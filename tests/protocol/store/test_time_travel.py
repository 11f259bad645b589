"""Rewinds and forks in the store: what is read is what the law says, whatever way it is read."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings

from dspex_actors.clock import ManualClock
from dspex_actors.errors import AlreadyExists, IdempotencyMismatch, NotFound
from dspex_actors.resources.journal import Entry, Verdict
from dspex_actors.resources.session import ForkSpec, SessionRecord, SessionSpec
from dspex_actors.sessions.reading import recollect
from dspex_actors.sessions.state import State, exchange, replay
from dspex_actors.sessions.turn_ids import TurnIds
from dspex_actors.store import Idempotency, SqlStore, Store
from tests.protocol.store.making import TENANT, make_session, turn_of
from tests.support.time_travel import STEPS, TURN, Law

WINDOWS = (0, 1, 3, 100)
FORK = Idempotency(TENANT, "key-1", "POST /v1/sessions/{id}/fork", "k", b"body")


def entry_of(session: SessionRecord, seq: int, law: Law, step: int) -> Entry:
    """The step as an entry, after what the law knows; the law then knows it too."""
    entry = turn_of(session, seq, turn_id=f"id-{seq}")
    if step == TURN:
        law.turn()
        inputs = {"inputs": {"q": law.last}, "outputs": {}}
        return replace(entry, turn=law.last, delta=orjson.dumps(inputs))
    delta = {"to_turn": step % (law.last + 1), "last_turn": law.last}
    law.rewind(delta["to_turn"])
    return replace(entry, kind="rewind", turn=None, delta=orjson.dumps(delta))


def live(store: Store, steps: list[int], name: str | None = None) -> tuple[SessionRecord, Law]:
    """A session that has been through this; its row of now, and the law."""
    session, law = make_session(store, name), Law()
    for seq, step in enumerate(steps, start=1):
        assert store.commit([entry_of(session, seq, law, step)]) == [Verdict.COMMITTED]
    return store.load_session(session.uid), law


def woken(store: Store, uid: str, window: int) -> State:
    """The state as a host wakes it."""
    return recollect(store, store.load_session(uid), window).state(window)


def shown(state: State) -> list[int]:
    """The numbers of the turns that the program would be shown."""
    return [past.inputs["q"] for past in state.history]


def test_waking_is_the_replay_of_the_whole_journal(store: Store) -> None:
    """With rewinds anywhere, over rewinds, and windows shorter and longer than all there is."""

    @settings(max_examples=60)
    @given(STEPS)
    def law_holds(steps: list[int]) -> None:
        session, law = live(store, steps)
        for window in WINDOWS:
            state = woken(store, session.uid, window)
            assert state == replay(store.entries(session.uid), window)
            assert shown(state) == law.present[max(0, len(law.present) - window) :]

    law_holds()


def test_every_conversation_can_be_read(store: Store) -> None:
    """Of left turns too, and no more of it than is asked for; the course agrees."""

    @settings(max_examples=40)
    @given(STEPS)
    def law_holds(steps: list[int]) -> None:
        session, law = live(store, steps)
        course = store.course(session.uid)
        assert (course.at, course.last) == (law.at, law.last)
        for turn, conversation in law.after.items():
            read = store.conversation(session.uid, turn, 3)
            assert [exchange(entry).inputs["q"] for entry in read] == conversation[-3:]

    law_holds()


def test_a_fork_at_a_turn_is_the_session_as_it_was_after_that_turn(store: Store) -> None:
    """Entry by entry, left turns and all; only the turn ids stay behind, and one entry says where it comes from."""

    @settings(max_examples=30)
    @given(STEPS)
    def law_holds(steps: list[int]) -> None:
        session, law = live(store, steps)
        for turn in law.after:
            fork = store.fork_session(TENANT, session.id, ForkSpec(at_turn=turn)).value
            copied, past = store.entries(fork.uid), store.entries(session.uid)[: fork.seq - 1]
            assert copied[:-1] == [replace(entry, uid=fork.uid, turn_id=None) for entry in past]
            assert (copied[-1].kind, fork.turns, fork.origin_id, fork.origin_turn) == ("fork", turn, session.id, turn)
            state = woken(store, fork.uid, 3)
            assert state == replace(replay(past, 3), seq=fork.seq, turn_ids=TurnIds()) == replay(copied, 3)
            assert shown(state) == law.after[turn][-3:]

    law_holds()


def test_a_fork_of_now_has_everything_and_goes_on_by_itself(store: Store) -> None:
    """It stands where the origin stands; later entries of either are its own."""
    session, law = live(store, [TURN, TURN, TURN, 1], "alice")
    fork = store.fork_session(TENANT, "alice", ForkSpec(id="bob")).value
    assert (fork.id, fork.seq, fork.turns, fork.origin_turn) == ("bob", 5, 3, 1)
    store.seed_leases({fork.unit: "host-a"})
    here, there = entry_of(session, 5, deepcopy(law), 3), entry_of(fork, 6, law, TURN)
    assert store.commit([here, there]) == [Verdict.COMMITTED] * 2
    assert shown(woken(store, fork.uid, 9)) == [1, 4]
    assert shown(woken(store, session.uid, 9)) == [1, 2, 3]
    assert store.turn_by_id(fork.uid, "id-1") is None


def test_a_fork_of_a_fork_has_the_past_of_both(store: Store) -> None:
    """The entry that ends the first copy is a part of it."""
    live(store, [TURN, TURN], "a")
    second = store.fork_session(TENANT, "a", ForkSpec(id="b")).value
    store.seed_leases({second.unit: "host-a"})
    law = Law()
    law.turn(), law.turn()  # type: ignore[func-returns-value]
    store.commit([entry_of(second, 4, law, TURN)])
    for at_turn, turns in ((1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (None, [1, 2, 3])):
        third = store.fork_session(TENANT, "b", ForkSpec(at_turn=at_turn)).value
        assert (shown(woken(store, third.uid, 9)), third.origin_id) == (turns, "b")
        assert woken(store, third.uid, 9) == replay(store.entries(third.uid), 9)


def test_deleting_either_leaves_the_other(store: Store) -> None:
    """Each has its own copies."""
    origin, _ = live(store, [TURN, TURN], "a")
    first, second = (store.fork_session(TENANT, "a", ForkSpec(id=name)).value for name in "bc")
    store.delete_session(TENANT, "b")
    assert (len(store.entries(origin.uid)), store.entries(first.uid)) == (2, [])
    store.delete_session(TENANT, "a")
    assert shown(woken(store, second.uid, 9)) == [1, 2]
    assert store.get_session(TENANT, "c").origin_id == "a"


def test_a_fork_that_is_refused_leaves_nothing(store: Store) -> None:
    """No such session, no such turn, an id that is taken."""
    live(store, [TURN, TURN], "a")
    with pytest.raises(NotFound, match="no session"):
        store.fork_session(TENANT, "none", ForkSpec())
    with pytest.raises(NotFound, match=r"no turn 3.* is 2"):
        store.fork_session(TENANT, "a", ForkSpec(at_turn=3, id="b"))
    with pytest.raises(NotFound):
        store.fork_session("other", "a", ForkSpec())
    with pytest.raises(AlreadyExists):
        store.fork_session(TENANT, "a", ForkSpec(id="a"))
    with pytest.raises(NotFound):
        store.get_session(TENANT, "b")


def test_a_repeated_fork_gives_the_first_answer(store: Store) -> None:
    """And makes no second one, though the origin has gone on; another body is refused."""
    session, law = live(store, [TURN], "a")
    first = store.fork_session(TENANT, "a", ForkSpec(), FORK)
    store.commit([entry_of(session, 2, law, TURN)])
    again = store.fork_session(TENANT, "a", ForkSpec(), FORK)
    assert (first.replayed, again.replayed, again.value) == (False, True, first.value)
    with pytest.raises(IdempotencyMismatch):
        store.fork_session(TENANT, "a", ForkSpec(at_turn=0), replace(FORK, body_hash=b"other"))


def test_a_fork_keeps_what_its_origin_is_bound_to(store: Store, clock: ManualClock) -> None:
    """Program, version and model; it is created when it is made."""
    make_session(store, "a")
    origin = store.create_session(TENANT, SessionSpec(program="qa", id="b", lm="mock")).value
    clock.advance(5)
    fork = store.fork_session(TENANT, "b", ForkSpec()).value
    assert (fork.program_uid, fork.version, fork.lm) == (origin.program_uid, origin.version, "mock")
    assert (fork.created_at_us - origin.created_at_us, fork.uid != origin.uid) == (5_000_000, True)
    assert (fork.origin_turn, fork.turns, fork.seq, origin.origin_id) == (0, 0, 1, None)


def test_what_is_not_there_has_no_course(store: Store) -> None:
    """Nor a turn beyond the last."""
    session, _ = live(store, [TURN])
    with pytest.raises(NotFound, match="deleted"):
        store.course("none")
    with pytest.raises(NotFound, match="no turn 2"):
        store.conversation(session.uid, 2, 1)


@pytest.mark.parametrize("statement", ["_course", "_turns"])
def test_a_course_and_a_conversation_read_no_other_turns(sqlite_store: SqlStore, statement: str) -> None:
    """The rewinds by their index, the turns by a range of the key: SQLite says so."""
    text = getattr(sqlite_store._courses, statement)
    with sqlite_store._database.read() as connection:
        values = ("u", *(1 for _ in range(text.count("?") - 1)))
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all())
    assert ("journal_rewind (uid=?)" if statement == "_course" else "(uid=? AND seq>? AND seq<?)") in plan
    assert "SCAN" not in plan


@pytest.mark.parametrize(("statement", "index"), [("_course", "journal_rewind"), ("_turns", "journal_pkey")])
def test_postgresql_reads_no_other_turns_either(postgres_store: SqlStore, statement: str, index: str) -> None:
    """The same indexes; a table of a few rows would be read whole otherwise."""
    text = getattr(postgres_store._courses, statement)
    with postgres_store._database.read() as connection:
        connection.exec_driver_sql("SET enable_seqscan = off; SET enable_bitmapscan = off")
        values = ("u", *(1 for _ in range(text.count("%s") - 1)))
        plan = str(connection.exec_driver_sql(f"EXPLAIN {text}", values).all())
        connection.invalidate()
    assert f"using {index}" in plan
    assert "Seq Scan" not in plan
