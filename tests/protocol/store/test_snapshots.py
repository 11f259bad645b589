"""Snapshots in the store: whatever is there, a session wakes as its whole journal says."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_actors.errors import NotFound, StoreUnavailable
from dspex_actors.resources.journal import Memory
from dspex_actors.resources.session import ForkSpec, SessionRecord
from dspex_actors.resources.snapshot import STATE_VERSION, Snapshot
from dspex_actors.sessions import reading
from dspex_actors.sessions.reading import recollect
from dspex_actors.sessions.snapshot import encode
from dspex_actors.sessions.state import replay
from dspex_actors.store import SqlStore, Store, open_store
from tests.protocol.store.making import TENANT, make_session
from tests.protocol.store.test_opening import opened_at
from tests.protocol.store.test_time_travel import entry_of, live, shown, woken
from tests.support.time_travel import STEPS, TURN, Law

PLACES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4), st.booleans()), max_size=6)
"""After which entry a snapshot is written, with how long a conversation, and whether it is damaged."""


def snapshot_of(store: Store, uid: str, window: int = 20) -> Snapshot:
    """What a host would write now."""
    found = recollect(store, store.load_session(uid), window).found
    made = encode(found, uid, window, STATE_VERSION, 7)
    assert made is not None
    return made


def damaged(snapshot: Snapshot) -> Snapshot:
    """The same with a byte that is another."""
    return replace(snapshot, body=b"!" + snapshot.body[1:])


def live_with_snapshots(
    store: Store, steps: list[int], places: list[tuple[int, int, bool]]
) -> tuple[SessionRecord, Law]:
    """A session that has been through this, and had snapshots on the way."""
    session, law = make_session(store), Law()
    for seq, step in enumerate(steps, start=1):
        store.commit([entry_of(session, seq, law, step)])
        for after, window, bad in places:
            if after == seq:
                made = snapshot_of(store, session.uid, window)
                store.put_snapshots([damaged(made) if bad else made])
    return store.load_session(session.uid), law


def snapshots(store: Store, uid: str) -> list[int]:
    """The entries that the session's snapshots end at, newest first."""
    found: list[int] = []
    while (kept := store.memory(uid, found[-1] - 1 if found else 1_000).snapshot) is not None:
        found.append(kept.seq)
    return found


def test_a_snapshot_and_what_came_after_it_are_the_whole_journal(store: Store) -> None:
    """With rewinds and snapshots anywhere, sound or damaged, of longer and shorter conversations than are shown."""

    @settings(max_examples=60)
    @given(STEPS, PLACES)
    def law_holds(steps: list[int], places: list[tuple[int, int, bool]]) -> None:
        session, law = live_with_snapshots(store, steps, places)
        for window in (0, 1, 3, 100):
            state = woken(store, session.uid, window)
            assert state == replay(store.entries(session.uid), window)
            assert shown(state) == law.present[max(0, len(law.present) - window) :]

    law_holds()


def test_a_fork_with_snapshots_is_the_session_as_it_was(store: Store) -> None:
    """At any turn; its snapshots are its own, and hold none of the origin's turn ids."""

    @settings(max_examples=30)
    @given(STEPS, PLACES)
    def law_holds(steps: list[int], places: list[tuple[int, int, bool]]) -> None:
        session, law = live_with_snapshots(store, steps, places)
        for turn in law.after:
            fork = store.fork_session(TENANT, session.id, ForkSpec(at_turn=turn)).value
            state = woken(store, fork.uid, 3)
            assert state == replay(store.entries(fork.uid), 3)
            assert (len(state.turn_ids), shown(state)) == (0, law.after[turn][-3:])

    law_holds()


def test_a_fork_begins_with_a_snapshot_where_there_is_one(store: Store) -> None:
    """And keeps it when the origin is deleted; one that is damaged is not copied."""
    session, _ = live_with_snapshots(store, [TURN] * 9, [(4, 20, False), (8, 20, True)])
    early, late, now = (store.fork_session(TENANT, session.id, ForkSpec(at_turn=turn)).value for turn in (3, 6, None))
    store.delete_session(TENANT, session.id)
    assert [snapshots(store, fork.uid) for fork in (session, early, late, now)] == [[], [], [4], []]
    assert shown(woken(store, late.uid, 2)) == [5, 6]


def test_deleting_a_session_leaves_no_snapshot(store: Store) -> None:
    """Nor does one that is made a moment too late."""
    session, _ = live_with_snapshots(store, [TURN, TURN], [(1, 20, False)])
    late = snapshot_of(store, session.uid)
    store.delete_session(TENANT, session.id)
    store.put_snapshots([late])
    assert snapshots(store, session.uid) == []
    with pytest.raises(NotFound):
        recollect(store, session, 20)


def test_the_last_two_snapshots_are_kept(store: Store) -> None:
    """Of each session; one that comes twice, or late, changes nothing."""
    session, _ = live_with_snapshots(store, [TURN] * 4, [(1, 20, False), (2, 20, False), (3, 20, False)])
    other, _ = live_with_snapshots(store, [TURN], [(1, 20, False)])
    assert (snapshots(store, session.uid), snapshots(store, other.uid)) == ([3, 2], [1])
    third = store.memory(session.uid, 3).snapshot
    assert third is not None
    store.put_snapshots([replace(third, seq=1), damaged(third)])
    assert snapshots(store, session.uid) == [3, 2]
    assert woken(store, session.uid, 20) == replay(store.entries(session.uid), 20)


def test_a_damaged_snapshot_is_left_out_loudly(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """The one before it is taken."""
    session, _ = live_with_snapshots(store, [TURN] * 6, [(3, 20, False), (5, 20, True)])
    with caplog.at_level(logging.ERROR):
        read = recollect(store, session, 20)
    assert (read.tail.entries, read.found.turn) == (3, 6)
    assert f"snapshot 5 of {session.uid} is damaged" in caplog.text


def test_a_snapshot_of_a_newer_program_is_refused(store: Store) -> None:
    """Also where an older one is there: what it means is not guessed."""
    session, _ = live_with_snapshots(store, [TURN] * 3, [(1, 20, False)])
    newer = replace(snapshot_of(store, session.uid), state_version=STATE_VERSION + 1, body=b"?").sealed()
    store.put_snapshots([newer])
    with pytest.raises(StoreUnavailable, match=rf"version {STATE_VERSION + 1}.* Run the newer program"):
        recollect(store, session, 20)


def test_a_journal_that_lost_entries_is_refused(sqlite_store: SqlStore) -> None:
    """Its row says how far it should go."""
    session, _ = live(sqlite_store, [TURN] * 3)
    with sqlite_store._database.write() as connection:
        connection.exec_driver_sql("DELETE FROM journal WHERE seq = 3")
    with pytest.raises(StoreUnavailable, match=r"ends at 2, and should at 3.*backup"):
        recollect(sqlite_store, session, 20)


def test_a_journal_of_any_length_is_read_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns that are shown after all are read again."""
    session, _ = live(store, [TURN] * 12 + [1] + [TURN] * 3)
    everything = replay(store.entries(session.uid), 20)
    read = store.tail
    monkeypatch.setattr(store, "memory", lambda uid, at_most: Memory(None, read(uid, 0)[:5], {}))
    monkeypatch.setattr(store, "tail", lambda uid, after: read(uid, after)[:5])
    monkeypatch.setattr(reading, "TURNS_AT_HAND", 2)
    found = recollect(store, session, 20)
    assert (found.state(20), found.tail.entries) == (everything, 16)


def test_the_version_that_is_written_only_rises(store: Store) -> None:
    """A new store begins with this program's."""
    assert store.state_version() == STATE_VERSION
    assert [store.raise_state_version(version) for version in (STATE_VERSION + 2, 1, STATE_VERSION + 1)] == [
        STATE_VERSION + 2
    ] * 3
    assert store.state_version() == STATE_VERSION + 2


def test_a_store_of_before_snapshots_says_so_itself(new_url: str) -> None:
    """Hosts of the older program may still be there: its first form is written until somebody knows better."""
    with opened_at(new_url, "0003") as connection:
        connection.exec_driver_sql("DELETE FROM meta WHERE key = 'state_version_written'")
    with closing(open_store(new_url)) as store:
        assert store.state_version() == 1
        assert store.raise_state_version(2) == 2
