"""What an activation reads of a session: all at a takeover's speed, because a new owner reads many at once."""

from __future__ import annotations

from sqlalchemy import BindParameter, Connection, Dialect, bindparam, select

from dspex_actors.errors import NotFound
from dspex_actors.resources.journal import Memory
from dspex_actors.resources.session import SessionRecord
from dspex_actors.store.courses import Courses
from dspex_actors.store.driver import run, text_of
from dspex_actors.store.schema import failed_turn, journal, session

FAILURES = 1_000


class Memories:
    """Reads memories of one database; keeps the SQL texts."""

    def __init__(self, dialect: Dialect, courses: Courses) -> None:
        uid: BindParameter[str] = bindparam("uid")
        self._courses = courses
        record = select(*(session.c[name] for name in SessionRecord.__slots__)).where(session.c.uid == uid)
        ids = select(journal.c.turn_id).where(journal.c.uid == uid, journal.c.turn_id.is_not(None))
        failed = select(failed_turn.c.turn_id, failed_turn.c.attempt).where(failed_turn.c.uid == uid)
        self._record = text_of(record, dialect)
        self._ids = text_of(ids, dialect)
        self._failed = f"{text_of(failed.order_by(failed_turn.c.at_us.desc()), dialect)} LIMIT {FAILURES}"

    def record(self, connection: Connection, uid: str) -> SessionRecord:
        """The session's row. Raises NotFound."""
        rows = run(connection, self._record, (uid,))
        if not rows:
            raise NotFound(f"The session {uid} was deleted; create a new one.")
        return SessionRecord(*rows[0])

    def of(self, connection: Connection, record: SessionRecord, recent: int) -> Memory:
        """All turn ids, the last `recent` turns of the conversation, and how often turns that failed were started."""
        ids = {turn_id for (turn_id,) in run(connection, self._ids, (record.uid,))}
        attempts: dict[str, int] = {}
        for turn_id, attempt in run(connection, self._failed, (record.uid,)):
            attempts[turn_id] = max(attempt, attempts.get(turn_id, 0))
        entries = self._courses.present(connection, record, recent) if recent else []
        return Memory(ids, entries, attempts)
