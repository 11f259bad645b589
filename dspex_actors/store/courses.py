"""A session's course, and the turns of a conversation: read by the rewinds' index and the journal's key alone."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import BigInteger, BindParameter, Connection, Dialect, and_, bindparam, literal_column, select

from dspex_actors.errors import NotFound
from dspex_actors.resources.course import Course
from dspex_actors.resources.journal import Entry, rewind_of
from dspex_actors.store.driver import run, text_of
from dspex_actors.store.schema import journal, session

_ENTRY = tuple(name for name in Entry.__slots__ if name not in ("unit", "epoch"))


class Courses:
    """Reads courses and conversations of one database; keeps the SQL texts."""

    def __init__(self, dialect: Dialect) -> None:
        uid: BindParameter[str] = bindparam("uid")
        # One statement, so that turns and rewinds are of one moment. The kind is literal: the index is found by it.
        rewinds = and_(journal.c.uid == session.c.uid, journal.c.kind == literal_column("'rewind'"))
        course = select(session.c.seq, session.c.turns, session.c.removed_turns, *(journal.c[name] for name in _ENTRY))
        course = course.select_from(session.outerjoin(journal, rewinds)).where(session.c.uid == uid)
        turns = select(*(journal.c[name] for name in _ENTRY)).where(
            journal.c.uid == uid,
            journal.c.seq.between(_number("from_seq"), _number("to_seq")),
            journal.c.turn.between(_number("first"), _number("last")),
            journal.c.kind == literal_column("'turn'"),
        )
        self._course = text_of(course.order_by(journal.c.seq), dialect)
        self._turns = text_of(turns.order_by(journal.c.seq), dialect)

    def course(self, connection: Connection, uid: str) -> Course:
        """Which turn came after which. Raises NotFound."""
        return self.moment(connection, uid)[0]

    def conversation(self, connection: Connection, uid: str, turn: int, newest: int) -> Sequence[Entry]:
        """The last `newest` turns on the way to `turn`, as far as they are left. Raises NotFound, Gone."""
        course, seq = self.moment(connection, uid)
        if not 0 <= turn <= course.last:
            raise NotFound(f"There is no turn {turn}; the last one of this session is {course.last}.")
        course.check_kept(turn)
        found = self.read(connection, uid, course.conversation(turn, newest), seq - course.last)
        removed = [place for place, entry in enumerate(found, start=1) if not entry.has_exchange]
        return found[removed[-1] :] if removed else found

    def moment(self, connection: Connection, uid: str) -> tuple[Course, int]:
        """The course, and the number of the last entry at the same moment. Raises NotFound."""
        rows = run(connection, self._course, (uid,))
        if not rows:
            raise NotFound(f"The session {uid} was deleted; create a new one.")
        seq, turns, removed, *_ = rows[0]
        rewinds = [rewind_of(_entry(row[3:])) for row in rows if row[3] is not None]
        return Course(turns, rewinds, removed), seq

    def read(self, connection: Connection, uid: str, ranges: Sequence[tuple[int, int]], others: int) -> Sequence[Entry]:
        """Turns by ranges of their numbers, in order; `others` entries of the session, at least, are no turns."""
        # An entry is at most as many numbers after its turn's own as there are `others`, which are no turns.
        asked = ((uid, first, last + others, first, last) for first, last in ranges)
        return [_entry(row) for each in asked for row in run(connection, self._turns, each)]


def _number(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger)


def _entry(row: Sequence[object]) -> Entry:
    return Entry(**dict(zip(_ENTRY, row, strict=True)))  # type: ignore[arg-type]
