"""Rows of snapshots: written once, read whole, the last two of a session kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from dspex_actors.resources.snapshot import Snapshot
from dspex_actors.store.schema import session
from dspex_actors.store.schema import snapshot as table

KEPT = 2
"""Should the newest be damaged, the one before it is there."""
_COLUMNS = tuple(table.c[name] for name in Snapshot.__slots__)


def put(connection: Connection, made: Sequence[Snapshot]) -> None:
    """Insert snapshots of sessions that are there, none of a past that is removed; drop what is no longer needed."""
    uids = {one.uid for one in made}
    # Locked against deletion, not against commits: what is deleted meanwhile leaves no snapshot behind.
    living = select(session.c.uid, session.c.tenant, session.c.removed_seq).where(session.c.uid.in_(uids))
    locked = living.order_by(session.c.uid).with_for_update(read=True, key_share=True)
    rows = {row.uid: row for row in connection.execute(locked)}
    known = {tuple(row) for row in connection.execute(select(table.c.uid, table.c.seq).where(table.c.uid.in_(uids)))}
    living_on = [one for one in made if one.uid in rows and one.seq >= rows[one.uid].removed_seq]
    new = {(one.uid, one.seq): one for one in living_on if (one.uid, one.seq) not in known}
    if new:
        # A host and a sweep may make the same one at the same moment.
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        unless_there = dialect.insert(table).on_conflict_do_nothing()
        connection.execute(unless_there, [{**asdict(one), "tenant": rows[one.uid].tenant} for one in new.values()])
    for uid in rows:
        _prune(connection, uid, sorted((seq for key, seq in {*known, *new} if key == uid), reverse=True))


def newest(connection: Connection, uid: str, at_most: int) -> Snapshot | None:
    """The newest of a session up to an entry."""
    rows = select(*_COLUMNS).where(table.c.uid == uid, table.c.seq <= at_most)
    row = connection.execute(rows.order_by(table.c.seq.desc()).limit(1)).first()
    return None if row is None else Snapshot(*row)


def fork(connection: Connection, origin: str, made: str, tenant: str, seq: int) -> None:
    """The newest of the origin up to an entry, as the fork's own; none where it is damaged."""
    found = newest(connection, origin, seq)
    if found is not None and found.intact:
        connection.execute(insert(table).values({**asdict(found.forked(made)), "tenant": tenant}))


def _prune(connection: Connection, uid: str, seqs: Sequence[int]) -> None:
    if len(seqs) > KEPT:
        connection.execute(delete(table).where(table.c.uid == uid, table.c.seq < seqs[KEPT - 1]))
