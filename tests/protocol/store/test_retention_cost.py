"""What a sweep reads: what was removed since the one before, and what that one left; never the whole past again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from sqlalchemy import Connection

from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.retention import Retention
from dspex_actors.resources.session import SessionRecord
from dspex_actors.store import SqlStore, Store, open_store, retention
from dspex_actors.store.port import Kept
from tests.protocol.store.making import TENANT, make_session
from tests.protocol.store.test_opening import opened_at
from tests.protocol.store.test_retention import ALL, keep, sweeper
from tests.protocol.store.test_snapshots import snapshot_of, snapshots
from tests.protocol.store.test_time_travel import entry_of, live, woken
from tests.support.time_travel import TURN, Law

WINDOW = 3


def goes_on(store: Store, session: SessionRecord, law: Law, steps: list[int]) -> None:
    """The session has these turns and rewinds too."""
    seq = store.load_session(session.uid).seq
    for place, step in enumerate(steps, start=seq + 1):
        store.commit([entry_of(session, place, law, step)])


def says_something(store: Store, uid: str) -> list[int]:
    """The entries that do."""
    return [entry.seq for entry in store.entries(uid) if not entry.is_removed]


def kept_of(store: Store, uid: str) -> Kept:
    """The session as a sweep finds it."""
    return next(kept for kept in store.removal().sessions(TENANT, "", 1_000) if kept.uid == uid)


def rows_read(store: SqlStore, work: Callable[[Connection], None]) -> int:
    """How many rows of the journal that reads in PostgreSQL; in SQLite, how many steps its machine takes for it."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    with store._database.write() as connection:
        if connection.dialect.name == "sqlite":
            connection.connection.driver_connection.set_progress_handler(step, 1)  # type: ignore[union-attr]
            work(connection)
            connection.connection.driver_connection.set_progress_handler(None, 1)  # type: ignore[union-attr]
            return steps
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # a table of many pages is not read whole
        read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'journal'"
        before = int(connection.exec_driver_sql(read).scalar_one())  # of this connection, since it last reported
        work(connection)
        return int(connection.exec_driver_sql(read).scalar_one()) - before


def sweeping(store: Store, uid: str) -> Callable[[Connection], None]:
    """All that a sweep asks the journal of a session for, from its bound to its leftovers."""

    def work(connection: Connection) -> None:
        kept = kept_of(store, uid)
        seq, turns = retention.bound(connection, kept, 2, None)
        below = seq + 1
        while found := retention.leftovers(connection, uid, below, kept.swept_seq, 50):
            below = found[-1].seq
        assert (turns, seq - kept.swept_seq) == (kept.turns - 2, 12)

    return work


def test_a_sweep_reads_as_much_of_a_long_past_as_of_a_short_one(shared_store: SqlStore) -> None:
    """Eleven turns came since the last one, after 30 turns and rewinds here and 600 there."""
    made = [live(shared_store, [TURN, TURN, 1] * length) for length in (10, 200)]
    keep(shared_store, journal_turns=2)
    for session, law in made:
        goes_on(shared_store, session, law, [TURN] * 11)
    with shared_store._database.write() as connection:
        connection.exec_driver_sql("ANALYZE")
    short, long = (rows_read(shared_store, sweeping(shared_store, session.uid)) for session, _ in made)
    assert 10 <= long <= short * 1.1


def test_what_was_left_because_it_was_shown_goes_when_it_is_not_shown_any_more(store: Store) -> None:
    """Though no later sweep looks at the rest of what was there; also what a rewind has shown again."""
    session, law = live(store, [TURN] * 9)
    keep(store, journal_turns=4)
    assert says_something(store, session.uid) == [4, 5, 6, 7, 8, 9]
    goes_on(store, session, law, [6, TURN, TURN])
    keep(store, journal_turns=3)
    # Entries 11 and 12 are turns 10 and 11: before turn 10 turns 5 and 6 are shown, before turn 9 turns 7 and 8.
    assert says_something(store, session.uid) == [5, 6, 7, 8, 9, 10, 11, 12]
    before = woken(store, session.uid, WINDOW)
    goes_on(store, session, law, [TURN] * 3)
    keep(store, journal_turns=1)
    assert says_something(store, session.uid) == [10, 13, 14, 15]
    assert woken(store, session.uid, WINDOW).turn == before.turn + 3


def test_what_a_rewind_says_is_not_looked_at_again(store: Store) -> None:
    """Where it went stays for ever: however many there are, no sweep reads them but the first."""
    session, law = make_session(store), Law()
    for seq in range(1, 41):
        entry = entry_of(session, seq, law, 1 if seq % 2 == 0 else TURN)
        store.commit([replace(entry, delta=entry.delta[:-1] + b',"variables":{"a":1}}')])
    keep(store, journal_turns=2)
    kept = kept_of(store, session.uid)
    found = store.removal().leftovers(session.uid, kept.swept_seq + 1, kept.swept_seq, 50)
    assert (kept.swept_seq, [entry.kind for entry in found]) == (36, ["rewind", "turn"])


def test_a_snapshot_is_written_where_there_is_none_since(store: Store) -> None:
    """And not where there is one: what is left of removed entries is read by nobody then."""
    session, law = live(store, [TURN] * 9)
    store.put_snapshots([snapshot_of(store, session.uid)])
    goes_on(store, session, law, [TURN])
    keep(store, journal_turns=4)
    assert snapshots(store, session.uid) == [9]
    keep(store, journal_turns=1)
    assert snapshots(store, session.uid) == [9]
    goes_on(store, session, law, [TURN] * 2)
    keep(store, journal_turns=1)
    assert snapshots(store, session.uid) == [12]


def test_an_activation_begins_behind_what_was_removed(store: Store) -> None:
    """At the oldest snapshot that is left, should the newer ones be damaged."""
    session, _ = live(store, [TURN] * 9)
    store.put_retention(TENANT, Retention(journal_turns=4), ALL)
    sweeper(store).sweep()
    removed = store.load_session(session.uid).removed_seq
    oldest = snapshots(store, session.uid)[-1]
    assert oldest >= removed == 5
    memory = store.memory(session.uid, 9)
    assert memory.snapshot is not None
    assert all(entry.seq > oldest for entry in memory.entries)


def test_what_an_earlier_program_has_swept_is_looked_at_once_more(new_url: str) -> None:
    """It marked nothing: a turn that it left because it was shown would stay for ever."""
    blob = "x'7b22696e70757473223a7b7d7d'" if new_url.startswith("sqlite") else r"'\x7b22696e70757473223a7b7d7d'"
    with opened_at(new_url, "0007") as connection:
        connection.exec_driver_sql(
            "INSERT INTO session (uid, tenant, id, program_uid, program, version, shard, unit, seq, turns, "
            "created_at_us, removed_seq, removed_turns, swept_seq) "
            "VALUES ('u', 'default', 's', 'p', 'qa', 1, 7, 'shard:7', 9, 9, 5, 7, 7, 7)"
        )
        for turn in range(1, 10):
            connection.exec_driver_sql(
                "INSERT INTO journal (uid, seq, tenant, kind, turn, turn_id, body_hash, format_version, at_us, delta) "
                f"VALUES ('u', {turn}, 'default', 'turn', {turn}, 't{turn}', {blob}, 1, 5, {blob})"
            )
    with closing(open_store(new_url)) as store:
        store.create_program(TENANT, ProgramSpec(name="qa", signature="q -> a"))
        with store._database.write() as connection:
            connection.exec_driver_sql("UPDATE session SET program_uid = (SELECT uid FROM program)")
        sweeper(store).sweep()
        assert says_something(store, "u") == [6, 7, 8, 9]
        keep(store, journal_turns=1)
        assert says_something(store, "u") == [7, 8, 9]
