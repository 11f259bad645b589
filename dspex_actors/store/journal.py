"""What the journal says, and the failed attempts beside it. Writing entries is the fence's business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, select

from dspex_actors.errors import NotFound
from dspex_actors.resources.course import Course
from dspex_actors.resources.journal import Entry, FailedTurn
from dspex_actors.store.paging import after_turn
from dspex_actors.store.port import Listing, Page
from dspex_actors.store.schema import failed_turn, journal, session

MAX_FAILURES = 1_000
_MAX_INTEGER = 2**63 - 1


def after(connection: Connection, uid: str, seq: int) -> Sequence[Entry]:
    """Entries with a higher number, in order."""
    rows = _of(uid).where(journal.c.seq > min(seq, _MAX_INTEGER)).order_by(journal.c.seq)
    return [entry_of(row) for row in connection.execute(rows)]


def turns(connection: Connection, uid: str, page: Page) -> Listing[Entry]:
    """Turns, oldest first. `turn <= seq` always, so the key's range starts at the turn's own number."""
    _, removed, _ = _removed(connection, uid)
    number = max(after_turn(page), removed)
    rows = _of(uid).where(journal.c.seq > number, journal.c.turn > number, journal.c.kind == "turn")
    found = connection.execute(rows.order_by(journal.c.seq).limit(page.limit + 1)).all()
    shown = [entry_of(row) for row in found[: page.limit]]
    return Listing(shown, str(shown[-1].turn) if len(found) > page.limit else None, removed)


def turn(connection: Connection, uid: str, number: int) -> Entry:
    """By number. Raises NotFound, Gone."""
    rows = _of(uid).where(journal.c.seq >= number, journal.c.turn == number, journal.c.kind == "turn")
    in_range = 0 < number <= _MAX_INTEGER
    row = connection.execute(rows.order_by(journal.c.seq).limit(1)).first() if in_range else None
    if row is None:
        raise NotFound(f"There is no turn {number}; list the session's turns to see their numbers.")
    _, removed, last = _removed(connection, uid)
    Course(last, removed=removed).check_kept(number)
    return entry_of(row)


def entry(connection: Connection, uid: str, seq: int) -> Entry:
    """By its number. Raises NotFound."""
    row = connection.execute(_of(uid).where(journal.c.seq == seq)).first()
    if row is None:
        raise NotFound(f"The journal of this session has no entry {seq}; the session was deleted, or its past removed.")
    return entry_of(row)


def by_turn_id(connection: Connection, uid: str, turn_id: str) -> Entry | None:
    """By the client's key; of one that has been removed nothing but that. What a rewind says stays."""
    row = connection.execute(_of(uid).where(journal.c.turn_id == turn_id)).first()
    if row is None:
        return None
    found = entry_of(row)
    is_removed = found.kind != "rewind" and found.seq <= _removed(connection, uid)[0]
    return replace(found, delta=b"") if is_removed else found


def record_failure(connection: Connection, failed: FailedTurn) -> None:
    """Insert or replace; nothing where the session is gone."""
    # Not deleted meanwhile, or the row would stay for ever.
    of_uid = select(session.c.tenant).where(session.c.uid == failed.uid).with_for_update(read=True, key_share=True)
    tenant = connection.scalar(of_uid)
    if tenant is None:
        return
    forget_failure(connection, failed.uid, failed.turn_id, failed.attempt)
    connection.execute(insert(failed_turn).values({**asdict(failed), "tenant": tenant}))


def forget_failure(connection: Connection, uid: str, turn_id: str, attempt: int) -> None:
    """Delete it; nothing where it is not there."""
    key = (failed_turn.c.uid, failed_turn.c.turn_id, failed_turn.c.attempt)
    same = [column == value for column, value in zip(key, (uid, turn_id, attempt), strict=True)]
    connection.execute(delete(failed_turn).where(*same))


def failures(connection: Connection, uid: str, turn_id: str | None) -> Sequence[FailedTurn]:
    """The newest attempts, oldest of them first."""
    columns = [failed_turn.c[name] for name in FailedTurn.__slots__]
    rows = select(*columns).where(failed_turn.c.uid == uid)
    if turn_id is not None:
        rows = rows.where(failed_turn.c.turn_id == turn_id)
    newest = (failed_turn.c.at_us.desc(), failed_turn.c.turn_id.desc(), failed_turn.c.attempt.desc())
    found = connection.execute(rows.order_by(*newest).limit(MAX_FAILURES)).all()
    return [FailedTurn(*row) for row in reversed(found)]


def _removed(connection: Connection, uid: str) -> tuple[int, int, int]:
    """Up to which entry, and turn, the session's past has been removed; and its last turn."""
    columns = (session.c.removed_seq, session.c.removed_turns, session.c.turns)
    row = connection.execute(select(*columns).where(session.c.uid == uid)).first()
    return (0, 0, 0) if row is None else (row[0], row[1], row[2])


def _of(uid: str) -> Select[Any]:
    return select(journal).where(journal.c.uid == uid)


def entry_of(row: Row[Any]) -> Entry:
    """The entry that a row holds."""
    return Entry(
        uid=row.uid,
        seq=row.seq,
        kind=row.kind,
        turn=row.turn,
        turn_id=row.turn_id,
        body_hash=row.body_hash,
        delta=row.delta,
        at_us=row.at_us,
        format_version=row.format_version,
    )
