"""The steps of retention in SQL: each method is one transaction, and short."""

from __future__ import annotations

from collections.abc import Sequence

from dspex_actors.clock import Clock
from dspex_actors.resources.journal import Entry, FailedTurn
from dspex_actors.resources.retention import Retention
from dspex_actors.store import retention
from dspex_actors.store.database import Database
from dspex_actors.store.port import Held, Kept


class SqlRemoval:
    """`Removal` over a database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def tenants(self, default: Retention) -> dict[str, Retention]:
        """Those whose past is removed some day, each with what holds for it."""
        with self._database.read() as connection:
            return retention.tenants(connection, default)

    def sessions(self, tenant: str, after: str, limit: int) -> Sequence[Kept]:
        """The tenant's next sessions, by uid."""
        with self._database.read() as connection:
            return retention.page(connection, tenant, after, limit)

    def bound(self, kept: Kept, turns: int | None, before_us: int | None) -> tuple[int, int]:
        """The last entry and the last turn to be removed."""
        with self._database.read() as connection:
            return retention.bound(connection, kept, turns, before_us)

    def remove(self, uid: str, seq: int, turns: int, held: Held | None = None) -> None:
        """From now on entries up to `seq`, and turns up to `turns`, are removed, if `held` holds."""
        with self._database.write() as connection:
            if retention.holds(connection, held):
                retention.remove(connection, uid, seq, turns)

    def unswept(self, after: str, limit: int) -> Sequence[Kept]:
        """Sessions with removed entries that still say something, by uid."""
        with self._database.read() as connection:
            return retention.unswept(connection, after, limit)

    def leftovers(self, uid: str, below: int, swept: int, limit: int) -> Sequence[Entry]:
        """Entries before one that still say something, newest first."""
        with self._database.read() as connection:
            return retention.leftovers(connection, uid, below, swept, limit)

    def wipe(self, uid: str, left: Sequence[tuple[Entry, bytes]]) -> None:
        """Leave of entries, as they were read, no more than that."""
        with self._database.write() as connection:
            retention.wipe(connection, uid, left)

    def swept(self, uid: str, seq: int) -> None:
        """Entries up to `seq` are wiped out; snapshots that end before it are removed."""
        with self._database.write() as connection:
            retention.swept(connection, uid, seq)

    def old_failures(self, uid: str, before_us: int, after: FailedTurn | None, limit: int) -> Sequence[FailedTurn]:
        """Failed attempts older than that, oldest first, and after one of them."""
        with self._database.read() as connection:
            return retention.old_failures(connection, uid, before_us, after, limit)

    def trusts(self, now_us: int) -> bool:
        """Whether things may be removed for their age at that time."""
        with self._database.write() as connection:
            return retention.trusts(connection, now_us)

    def remove_failures(self, failed: Sequence[FailedTurn], held: Held | None = None) -> None:
        """Delete attempts, as far as they may be, if `held` holds."""
        with self._database.write() as connection:
            if retention.holds(connection, held):
                retention.remove_failures(connection, failed, self._clock.now_us())
