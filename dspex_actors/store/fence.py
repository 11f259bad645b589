"""Group commit under the fence: the one place where journal entries are written.

The order of the statements is the argument: the lease rows are locked before a session is touched, and a session moves
from `seq - 1` to `seq` only for the unit that the entry started under. The SQL is built once per size and sent as text,
because building it costs more than running it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Dialect,
    String,
    column,
    func,
    literal_column,
    select,
    tuple_,
    update,
    values,
)
from sqlalchemy.sql.expression import ClauseElement

from dspex_actors.errors import AlreadyExists, Internal
from dspex_actors.resources.course import Course
from dspex_actors.resources.journal import Entry, Verdict, rewind_of
from dspex_actors.store.driver import insert_rows, insert_text_of, run, text_of
from dspex_actors.store.schema import journal, lease, session

T = TypeVar("T")

_TEXTS: dict[tuple[str, str, int], str] = {}
CHUNK = 128
"""Entries per statement that writes: bounds the number of SQL texts, and of variables in one of them."""


class Fence:
    """Commits entries for one database; keeps the SQL texts."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._integrity_error = dialect.loaded_dbapi.IntegrityError
        self._insert = insert_text_of(journal, dialect)

    def commit(self, connection: Connection, entries: Sequence[Entry]) -> list[Verdict]:
        """Write what may be written, inside the caller's transaction; one verdict an entry, in order.

        Raises:
            AlreadyExists: An entry's turn id is in its session's journal under another number.
            Gone: A rewind goes to a turn that was removed while it was prepared.
            Internal: Two entries of one session.
        """
        if len({entry.uid for entry in entries}) != len(entries):
            raise Internal("A group commit takes at most one entry a session; commit the second one after the first.")
        # All leases before any session, and in key order, as takeovers lock them: nobody waits in a circle.
        held = self._held(connection, entries) if entries else set()
        chunks = (entries[start : start + CHUNK] for start in range(0, len(entries), CHUNK))
        return list(chain.from_iterable(self._commit_chunk(connection, chunk, held) for chunk in chunks))

    def _commit_chunk(
        self, connection: Connection, entries: Sequence[Entry], held: set[tuple[str, int]]
    ) -> Iterator[Verdict]:
        fenced = [entry for entry in entries if (entry.unit, entry.epoch) in held]
        advanced = self._advance(connection, fenced) if fenced else {}
        new = [(entry, *advanced[entry.uid]) for entry in fenced if entry.uid in advanced]
        for entry, _, removed in new:
            _check_target(entry, removed)
        self._write(connection, [_row(entry, tenant) for entry, tenant, _ in new])
        for entry in entries:
            if entry.uid in advanced:
                yield Verdict.COMMITTED
            elif (entry.unit, entry.epoch) not in held:
                yield Verdict.MOVED
            else:
                yield Verdict.COMMITTED if _is_recorded(connection, entry) else Verdict.DROPPED

    def _held(self, connection: Connection, entries: Sequence[Entry]) -> set[tuple[str, int]]:
        # Pairs, not units: a batch may hold one unit under two epochs.
        pairs = _padded(list({(entry.unit, entry.epoch): None for entry in entries}))
        asked = [value for pair in pairs for value in pair]
        return {(unit, epoch) for unit, epoch in run(connection, self._text(_lease_check, len(pairs)), asked)}

    def _advance(self, connection: Connection, entries: Sequence[Entry]) -> dict[str, tuple[str, int]]:
        """The sessions that went on: tenant, and the last turn that has been removed."""
        padded = _padded(entries)
        moves = [value for entry in padded for value in (entry.uid, entry.seq, entry.unit, entry.turn)]
        rows = run(connection, self._text(_advance, len(padded)), moves)
        return {uid: (tenant, removed) for uid, tenant, removed in rows}

    def _text(self, statement: Callable[[int], ClauseElement], size: int) -> str:
        key = (self._dialect.name, statement.__name__, size)
        if key not in _TEXTS:
            _TEXTS[key] = text_of(statement(size), self._dialect)
        return _TEXTS[key]

    def _write(self, connection: Connection, rows: list[tuple[object, ...]]) -> None:
        if not rows:
            return
        try:
            insert_rows(connection, self._insert, rows)
        except self._integrity_error as fault:
            msg = "A turn of this batch was recorded before, under another number; commit the entries one by one."
            raise AlreadyExists(msg) from fault


def _padded(entries: Sequence[T]) -> list[T]:
    """Up to the next power of two by the last one again, which changes nothing: few sizes are few texts to build."""
    missing = (1 << (len(entries) - 1).bit_length()) - len(entries)
    return [*entries, *[entries[-1]] * missing]


def _lease_check(size: int) -> ClauseElement:
    pair = tuple_(lease.c.unit, lease.c.epoch)
    held = select(lease.c.unit, lease.c.epoch).where(pair.in_([("", 0)] * size))
    return held.order_by(lease.c.unit).with_for_update(read=True)


def _advance(size: int) -> ClauseElement:
    columns: list[ColumnElement[object]] = [
        column("x", String),
        column("n", BigInteger),
        column("u", String),
        column("t", BigInteger),
    ]
    v = values(*columns, name="v").data([("", 0, "", 0)] * size).cte("v")
    return (
        update(session)
        .values(seq=v.c.n, turns=func.coalesce(v.c.t, session.c.turns))
        .where(session.c.uid == v.c.x, session.c.seq == v.c.n - literal_column("1"), session.c.unit == v.c.u)
        .returning(session.c.uid, session.c.tenant, session.c.removed_turns)
    )


def _row(entry: Entry, tenant: str) -> tuple[object, ...]:
    """In the order of the table's columns."""
    return (
        entry.uid,
        entry.seq,
        tenant,
        entry.kind,
        entry.turn,
        entry.turn_id,
        entry.body_hash,
        entry.format_version,
        entry.at_us,
        entry.delta,
        None,
    )


def _check_target(entry: Entry, removed: int) -> None:
    """What a rewind goes to was read before. Retention may have come since, and then nobody could read it again."""
    if entry.kind == "rewind":
        rewind = rewind_of(entry)
        Course(rewind.last, removed=removed).check_kept(rewind.to)


def _is_recorded(connection: Connection, entry: Entry) -> bool:
    """Whether this very entry is there already: the answer to its COMMIT was lost."""
    columns = (journal.c.turn_id, journal.c.body_hash, journal.c.at_us, journal.c.delta, session.c.removed_seq)
    both = select(*columns).join_from(journal, session, journal.c.uid == session.c.uid)
    row = connection.execute(both.where(journal.c.uid == entry.uid, journal.c.seq == entry.seq)).first()
    # The same turn may have run twice, where somebody restarted its session meanwhile: only what is there is recorded.
    if row is None or (row.turn_id, row.body_hash, row.at_us) != (entry.turn_id, entry.body_hash, entry.at_us):
        return False
    # Of one that retention has removed meanwhile only a part is there, or nothing.
    return bool(row.delta == entry.delta or entry.seq <= row.removed_seq)
