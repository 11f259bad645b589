"""Retention beside whatever goes on at the same time: nothing is removed that is to stay, and nothing comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from sqlalchemy import Connection

from dspex_actors.clock import ManualClock
from dspex_actors.store import SqlStore, retention
from tests.protocol.store.making import TENANT, make_session, turn_of

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
