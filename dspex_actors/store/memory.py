"""What an activation reads of a session: all at a takeover's speed, because a new owner reads many at once."""

from __future__ import annotations

from sqlalchemy import BigInteger, BindParameter, Connection, Dialect, bindparam, func, select

from dspex_actors.errors import NotFound
from dspex_actors.resources.journal import Entry, Memory
from dspex_actors.resources.session import SessionRecord
from dspex_actors.resources.snapshot import Snapshot
from dspex_actors.store.driver import run, text_of
from dspex_actors.store.schema import failed_turn, journal, session, snapshot

FAILURES = 1_000
TOGETHER = 5_000
"""Entries that are read at once: a journal of any length fits into memory."""
_ENTRY = tuple(name for name in Entry.__slots__ if name not in ("unit", "epoch"))


class Memories:
    """Reads memories of one database; keeps the SQL texts."""

    def __init__(self, dialect: Dialect) -> None:
        uid: BindParameter[str] = bindparam("uid")
        number: BindParameter[int] = bindparam("seq", type_=BigInteger)
        record = select(*(session.c[name] for name in SessionRecord.__slots__)).where(session.c.uid == uid)
        newest = select(*(snapshot.c[name] for name in Snapshot.__slots__))
        newest = newest.where(snapshot.c.uid == uid, snapshot.c.seq <= number).order_by(snapshot.c.seq.desc())
        tail = select(*(journal.c[name] for name in _ENTRY)).where(journal.c.uid == uid, journal.c.seq > number)
        most = func.max(failed_turn.c.attempt)
        failed = select(failed_turn.c.turn_id, most).where(failed_turn.c.uid == uid).group_by(failed_turn.c.turn_id)
        self._record = text_of(record, dialect)
        self._snapshot = f"{text_of(newest, dialect)} LIMIT 1"
        self._tail = f"{text_of(tail.order_by(journal.c.seq), dialect)} LIMIT {TOGETHER}"
        self._failed = f"{text_of(failed.order_by(func.max(failed_turn.c.at_us).desc()), dialect)} LIMIT {FAILURES}"

    def record(self, connection: Connection, uid: str) -> SessionRecord:
        """The session's row. Raises NotFound."""
        rows = run(connection, self._record, (uid,))
        if not rows:
            raise NotFound(f"The session {uid} was deleted; create a new one.")
        return SessionRecord(*rows[0])

    def of(self, connection: Connection, uid: str, at_most: int) -> Memory:
        """The newest snapshot up to an entry, what came after it, and how often turns that failed were started."""
        attempts: dict[str, int] = dict(run(connection, self._failed, (uid,)))
        rows = run(connection, self._snapshot, (uid, at_most))
        found = Snapshot(*rows[0]) if rows else None
        return Memory(found, self.tail(connection, uid, found.seq if found else 0), attempts)

    def tail(self, connection: Connection, uid: str, after: int) -> list[Entry]:
        """The entries after one, in order; the first 5,000 of them."""
        return [
            Entry(key, seq, kind, turn, turn_id, body_hash, delta, at_us, format_version=version)
            for key, seq, kind, turn, turn_id, body_hash, delta, at_us, version in run(
                connection, self._tail, (uid, after)
            )
        ]
