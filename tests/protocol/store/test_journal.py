"""The contract of the journal and of the failed attempts beside it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dspex_actors.errors import AlreadyExists, Internal, NotFound
from dspex_actors.resources.journal import Entry, FailedTurn, Verdict
from dspex_actors.store import Page, Store, open_store
from tests.protocol.store.making import make_session, turn_of


def test_a_committed_turn_comes_back_as_it_was_written(store: Store) -> None:
    """By number, by key, in the journal; the lease's part is not kept."""
    session = make_session(store)
    entry = replace(turn_of(session, 1), delta=b"\x00\xff" * 5_000)
    assert store.commit([entry]) == [Verdict.COMMITTED]
    kept = replace(entry, unit="", epoch=0)
    assert [store.turn(session.uid, 1), store.turn_by_id(session.uid, "turn-1")] == [kept, kept]
    assert store.entries(session.uid) == [kept]


def test_a_commit_moves_the_sessions_numbers(store: Store) -> None:
    """`seq` by every entry, `turns` by turns alone; the turn's number may lag behind."""
    session = make_session(store)
    store.commit([turn_of(session, 1)])
    store.commit([replace(turn_of(session, 2), kind="variable", turn=None, turn_id=None)])
    assert _numbers(store, session.uid) == (2, 1)
    store.commit([replace(turn_of(session, 3), turn=2)])
    assert _numbers(store, session.uid) == (3, 2)
    assert store.turn(session.uid, 2).seq == 3


def test_the_journal_is_read_from_any_number_on(store: Store) -> None:
    """In order; past the end there is nothing."""
    session = make_session(store)
    for seq in (1, 2, 3):
        store.commit([turn_of(session, seq)])
    read = [[entry.seq for entry in store.entries(session.uid, after)] for after in (0, 1, 3, 2**80)]
    assert read == [[1, 2, 3], [2, 3], [], []]


def test_turns_are_paged_oldest_first_without_the_other_kinds(store: Store) -> None:
    """The cursor is a turn's number."""
    session = make_session(store)
    store.commit([replace(turn_of(session, 1), kind="variable", turn=None)])
    for seq in (2, 3, 4):
        store.commit([replace(turn_of(session, seq), turn=seq - 1)])
    first = store.turns(session.uid, Page(limit=2))
    second = store.turns(session.uid, Page(limit=2, cursor=first.next_cursor))
    assert [[entry.turn for entry in page.items] for page in (first, second)] == [[1, 2], [3]]
    assert (first.next_cursor, second.next_cursor) == ("2", None)


@pytest.mark.parametrize("number", [-1, 0, 2, 2**63, 10**40])
def test_a_turn_that_never_was_is_not_found(store: Store, number: int) -> None:
    """Whatever the number."""
    session = make_session(store)
    store.commit([turn_of(session, 1)])
    with pytest.raises(NotFound, match=str(number)):
        store.turn(session.uid, number)


def test_an_unknown_turn_id_finds_nothing(store: Store) -> None:
    """Also one of another session."""
    session, other = make_session(store), make_session(store)
    store.commit([turn_of(other, 1, turn_id="k")])
    assert store.turn_by_id(session.uid, "k") is None


def test_a_big_group_commits_as_one(store: Store) -> None:
    """Larger than one statement takes; verdicts in the order given."""
    sessions = [make_session(store) for _ in range(150)]
    stale = replace(turn_of(sessions[140], 1), epoch=9)
    entries = [stale if session is sessions[140] else turn_of(session, 1) for session in sessions]
    expected = [Verdict.COMMITTED] * 150
    expected[140] = Verdict.MOVED
    assert store.commit(entries) == expected
    assert [len(store.entries(session.uid)) for session in sessions[139:142]] == [1, 0, 1]


def test_committing_nothing_says_nothing(store: Store) -> None:
    """No entries, no verdicts."""
    assert store.commit([]) == []


def test_a_duplicate_turn_id_is_refused_and_its_batch_with_it(store: Store) -> None:
    """One by one, only the culprit raises again."""
    session, neighbour = make_session(store), make_session(store)
    store.commit([turn_of(session, 1, turn_id="k")])
    batch = [turn_of(neighbour, 1), turn_of(session, 2, turn_id="k")]
    with pytest.raises(AlreadyExists, match="one by one"):
        store.commit(batch)
    assert store.entries(neighbour.uid) == []
    assert store.commit(batch[:1]) == [Verdict.COMMITTED]
    with pytest.raises(AlreadyExists):
        store.commit(batch[1:])
    assert _numbers(store, session.uid) == (1, 1)


def test_two_entries_of_one_session_do_not_share_a_batch(store: Store) -> None:
    """Neither is written."""
    session = make_session(store)
    with pytest.raises(Internal):
        store.commit([turn_of(session, 1), turn_of(session, 2)])
    assert store.entries(session.uid) == []


def test_many_threads_commit_to_one_store(store: Store) -> None:
    """Each its own session, twenty turns; none is lost."""
    sessions = [make_session(store) for _ in range(6)]

    def live(number: int) -> list[Verdict]:
        return [store.commit([turn_of(sessions[number], seq)])[0] for seq in range(1, 21)]

    with ThreadPoolExecutor(6) as pool:
        verdicts = list(pool.map(live, range(6)))
    assert verdicts == [[Verdict.COMMITTED] * 20] * 6
    assert [_sequence(store.entries(session.uid)) for session in sessions] == [list(range(1, 21))] * 6


def test_a_failed_attempt_is_kept_and_replaced_by_its_like(store: Store) -> None:
    """The same key and attempt is the same attempt."""
    session = make_session(store)
    failed = FailedTurn(session.uid, "k", 1, 0, b'{"q":1}', b'{"code":"x"}', 5)
    store.record_failures([failed])
    store.record_failures([replace(failed, problem=b"{}")])
    assert store.failures(session.uid) == [replace(failed, problem=b"{}")]


def test_the_record_of_an_attempt_is_taken_back(store: Store) -> None:
    """That one alone; what is not there is no error."""
    session = make_session(store)
    first, second = (FailedTurn(session.uid, "k", attempt, 0, b"{}", b"{}", attempt) for attempt in (1, 2))
    store.record_failures([first, second])
    for _ in range(2):
        store.forget_failure(session.uid, "k", 2)
    assert store.failures(session.uid) == [first]


def test_a_failure_of_a_session_that_is_gone_is_no_error(store: Store) -> None:
    """And leaves nothing."""
    store.record_failures([FailedTurn("01J", "k", 1, 0, b"{}", b"{}", 5)])
    assert store.failures("01J") == []


def test_failures_are_the_newest_thousand_oldest_first() -> None:
    """Of one turn, or of all."""
    store = open_store("sqlite://")
    session = make_session(store)
    for at in range(1_002):
        store.record_failures([FailedTurn(session.uid, f"k{at % 2}", at, 0, b"{}", b"{}", at)])
    assert [failed.at_us for failed in store.failures(session.uid)] == list(range(2, 1_002))
    assert [failed.at_us for failed in store.failures(session.uid, "k1")] == list(range(1, 1_002, 2))
    store.close()


def _numbers(store: Store, uid: str) -> tuple[int, int]:
    session = store.load_session(uid)
    return session.seq, session.turns


def _sequence(entries: Sequence[Entry]) -> list[int]:
    return [entry.seq for entry in entries]
