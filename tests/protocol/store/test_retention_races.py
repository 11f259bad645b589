"""Retention beside whatever goes on at the same time: nothing is removed that is to stay, and nothing comes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, cast

from sqlalchemy import Connection, delete

from dspex_actors.clock import ManualClock
from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.journal import FailedTurn
from dspex_actors.resources.retention import Retention
from dspex_actors.sessions.sweeper import Sweeper
from dspex_actors.store import SqlStore, Store, open_store, retention
from dspex_actors.store.port import Kept
from dspex_actors.store.schema import session as sessions
from dspex_actors.store.schema import snapshot
from dspex_actors.store.snapshots import put
from tests.protocol.store.making import TENANT, make_session, turn_of
from tests.protocol.store.test_postgres_fencing import transaction, wait_until_one_waits
from tests.protocol.store.test_snapshots import snapshot_of, snapshots
from tests.protocol.store.test_time_travel import live
from tests.support.time_travel import TURN

ALL = Retention()
DAY_US = 24 * 3600 * 1_000_000


@dataclass
class Interrupted:
    """A connection; after its first statement something else happens."""

    connection: Connection
    between: Any

    def scalar(self, statement: Any) -> Any:
        """As the connection says, and then it happens, once."""
        found = self.connection.scalar(statement)
        happens, self.between = self.between, lambda: None
        happens()
        return found


def test_a_turn_that_commits_while_the_bound_is_looked_for_stays(shared_store: SqlStore, clock: ManualClock) -> None:
    """All entries were old when the first statement looked."""
    session, now = make_session(shared_store), clock.now_us()
    old, young = replace(turn_of(session, 1), at_us=now - 2 * DAY_US), replace(turn_of(session, 2), at_us=now)
    shared_store.commit([old])
    (kept,) = shared_store.removal().sessions(TENANT, "", 9)
    with shared_store._database.read() as connection:
        between = cast("Connection", Interrupted(connection, lambda: shared_store.commit([young])))
        assert retention._last_before(between, kept, now - DAY_US) == 1
    assert shared_store.load_session(session.uid).seq == 2


def test_a_sweep_and_a_deletion_of_its_session_do_not_wait_for_each_other(
    postgres_store: SqlStore, postgres_url: str
) -> None:
    """Both take the session's row first; whoever comes second finds it gone."""
    session, _ = live(postgres_store, [TURN] * 5)
    postgres_store.put_snapshots([snapshot_of(postgres_store, session.uid)])
    with closing(open_store(postgres_url)) as rival, ThreadPoolExecutor(1) as pool:
        with transaction(rival) as connection:
            connection.execute(delete(sessions).where(sessions.c.uid == session.uid))
            sweeping = pool.submit(postgres_store.removal().swept, session.uid, 9)
            wait_until_one_waits(postgres_url)
            connection.execute(delete(snapshot).where(snapshot.c.uid == session.uid))
        sweeping.result(10)
    assert snapshots(postgres_store, session.uid) == []


def test_two_may_write_the_same_snapshot_at_once(postgres_store: SqlStore, postgres_url: str) -> None:
    """A host and a sweep: one is there, and neither fails."""
    session, _ = live(postgres_store, [TURN] * 5)
    made = [snapshot_of(postgres_store, session.uid)]
    with closing(open_store(postgres_url)) as rival, ThreadPoolExecutor(1) as pool:
        with transaction(rival) as connection:
            put(connection, made)
            second = pool.submit(postgres_store.put_snapshots, made)
            wait_until_one_waits(postgres_url)
        second.result(10)
    assert snapshots(postgres_store, session.uid) == [5]


def test_a_retention_that_is_revoked_removes_nothing_more(store: Store, clock: ManualClock) -> None:
    """Also where a sweep for it is under way: here it has read what the sessions have by then."""
    session, _ = live(store, [TURN] * 5)
    store.record_failures([FailedTurn(session.uid, "t", 1, 0, b"{}", b"{}", 1)])
    store.put_retention(TENANT, Retention(journal_turns=1, failed_days=1), ALL)

    class Revoked(Sweeper):
        """Its tenant thinks better of it while it is at work."""

        def _sessions(self, tenant: str) -> Iterator[Kept]:
            found = list(super()._sessions(tenant))
            store.put_retention(tenant, None, ALL)
            return iter(found)

    Revoked(store, lambda uid: 3, clock, grace_s=0).sweep()
    assert (store.load_session(session.uid).removed_turns, len(store.failures(session.uid))) == (0, 1)


class Failing:
    """A store whose steps do not answer; it counts how often they were asked."""

    def __init__(self, store: Store) -> None:
        self.store, self.asked = store, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def ping(self) -> None:
        """It is the store that does not answer."""
        raise StoreUnavailable("It does not answer.")

    def removal(self) -> Any:
        """Its own steps, but for the one that is asked of each session."""
        steps: Any = self.store.removal()

        def bound(*_: Any) -> Any:
            self.asked += 1
            raise StoreUnavailable("It does not answer.")

        steps.bound = bound
        return steps


def test_a_sweep_ends_when_the_store_does_not_answer_and_gives_its_claim_back(store: Store, clock: ManualClock) -> None:
    """It asks once, not once a session; another may sweep at once."""
    for _ in range(3):
        make_session(store)
    store.put_retention(TENANT, Retention(journal_turns=1), ALL)
    failing = Failing(store)
    sweeper = Sweeper(cast("Store", failing), lambda uid: 3, clock, grace_s=0)
    assert (sweeper._apply(asked=False), failing.asked) == (False, 1)
    assert [store.claim_sweep(60), store.claim_sweep(60)] == [True, False]


class LateAsk(threading.Event):
    """It is set between the end of a first wait and whatever comes then."""

    waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it is set; never long."""
        self.waits += 1
        assert self.waits < 9, "nobody heard"
        if self.waits == 1:
            self.set()
            return False
        return super().wait(0)


def test_who_asks_between_two_sweeps_is_heard(store: Store, clock: ManualClock) -> None:
    """Though no sweep is due: another process has just begun one."""
    heard: list[str] = []

    class Counting(Sweeper):
        """It sweeps once."""

        def sweep(self) -> None:
            heard.append("sweep")
            self._closing.set()

    assert store.claim_sweep(3600)
    sweeper = Counting(store, lambda uid: 3, clock)
    sweeper._asked = LateAsk()
    sweeper._serve()
    assert heard == ["sweep"]


def test_what_another_sweep_has_wiped_out_does_not_come_back(store: Store) -> None:
    """One that began earlier, at a lower bound, still has the text that it read."""
    session, _ = live(store, [TURN] * 3)
    read = store.entries(session.uid)
    store.removal().wipe(session.uid, [(read[0], b""), (read[1], b'{"variables":{}}')])
    store.removal().wipe(session.uid, [(entry, entry.delta) for entry in read[:2]] + [(read[2], b"{}")])
    assert [entry.delta for entry in store.entries(session.uid)] == [b"", b'{"variables":{}}', b"{}"]
