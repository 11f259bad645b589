"""Forks: a session that begins as a copy of another one's journal.

What is copied is a beginning of the journal, entry by entry, under the numbers that the entries have: what it adds up
to is the state of that moment, whatever is in it, so nothing here has to know the kinds of entries.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, insert, literal, null, select

from dspex_actors.errors import NotFound
from dspex_actors.ids import body_hash, new_ulid, shard_of, unit_of_shard
from dspex_actors.resources.journal import FORMAT_VERSION
from dspex_actors.resources.session import ForkSpec, SessionRecord
from dspex_actors.store import sessions, snapshots
from dspex_actors.store.courses import Courses
from dspex_actors.store.guests import settle_in
from dspex_actors.store.journal import turn
from dspex_actors.store.locks import hold
from dspex_actors.store.schema import journal


def create(
    connection: Connection, courses: Courses, named: tuple[str, str], spec: ForkSpec, now_us: int
) -> SessionRecord:
    """Insert the fork of a session (tenant and id) with its entries. Raises NotFound, Gone, AlreadyExists."""
    hold(connection, "retention", sessions.find(connection, *named, lock=True).uid)
    origin = sessions.find(connection, *named)  # what is not removed now stays until all is copied
    at, seq, turns = _moment(connection, courses, origin, spec.at_turn)
    uid = new_ulid()
    shard = shard_of(origin.tenant, uid)
    made = replace(
        origin, uid=uid, id=spec.id if spec.id is not None else new_ulid().lower(), shard=shard,
        unit=unit_of_shard(shard), seq=seq + 1, turns=turns, created_at_us=now_us, origin_id=origin.id, origin_turn=at,
        changed=0, removed_seq=min(origin.removed_seq, seq), removed_turns=min(origin.removed_turns, turns),
        swept_seq=min(origin.swept_seq, seq),
    )  # fmt: skip
    sessions.add(connection, made)
    _copy(connection, origin, made, seq)
    snapshots.fork(connection, origin.uid, uid, made.tenant, seq)
    _mark(connection, origin, made)
    return settle_in(connection, made)


def _moment(
    connection: Connection, courses: Courses, origin: SessionRecord, at_turn: int | None
) -> tuple[int, int, int]:
    """Where the conversation stands, the number of the last entry to copy and that of the last turn in it."""
    course, seq = courses.moment(connection, origin.uid)
    if at_turn is None:
        return course.at, seq, course.last
    if at_turn > course.last:
        raise NotFound(f"There is no turn {at_turn} to fork at; the last one of {origin.id!r} is {course.last}.")
    course.check_kept(at_turn)
    return at_turn, turn(connection, origin.uid, at_turn).seq if at_turn else 0, at_turn


def _copy(connection: Connection, origin: SessionRecord, made: SessionRecord, seq: int) -> None:
    """The entries up to `seq`, without the turn ids: a key of the origin is a fresh one here."""
    own: dict[str, ColumnElement[Any]] = {"uid": literal(made.uid), "turn_id": null()}
    columns = [own.get(column.name, column).label(column.name) for column in journal.c]
    rows = select(*columns).where(journal.c.uid == origin.uid, journal.c.seq <= seq)
    connection.execute(insert(journal).from_select([column.name for column in journal.c], rows))


def _mark(connection: Connection, origin: SessionRecord, made: SessionRecord) -> None:
    """The entry that ends the copies: what comes after it is the fork's own."""
    delta = {"id": origin.id, "uid": origin.uid, "turn": made.origin_turn}
    row = {
        "uid": made.uid, "seq": made.seq, "tenant": made.tenant, "kind": "fork", "turn": None, "turn_id": None,
        "body_hash": body_hash("fork", delta), "format_version": FORMAT_VERSION, "at_us": made.created_at_us,
        "delta": orjson.dumps(delta),
    }  # fmt: skip
    connection.execute(insert(journal).values(row))
