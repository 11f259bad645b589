"""Removing the past of sessions as their tenants say, in small steps; `sessions/sweeper.py` says in which order.

A step first: the session's row says up to where its past is removed, and from that moment on nobody is shown it, goes
back to it or forks at it. What the removed entries say is wiped out later, when everybody who began to read before has
ended. Rows of the journal stay, with their numbers and keys: so replay needs no other rules, and a key runs only once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection, Select, and_, delete, func, insert, or_, select, tuple_, update

from dspex_actors.errors import HostLost, PoisonTurn, PreconditionFailed
from dspex_actors.resources.journal import Entry, FailedTurn, can_lose
from dspex_actors.resources.losses import ALONE
from dspex_actors.resources.retention import Retention, Seen
from dspex_actors.store.journal import entry_of
from dspex_actors.store.locks import hold
from dspex_actors.store.port import Held, Kept
from dspex_actors.store.schema import failed_turn, journal, meta, session, snapshot
from dspex_actors.store.schema import retention as table

MAY_RUN_US = 2 * 3600 * 1_000_000
"""A recorded attempt that is younger may still run: longer than any turn may take."""
_FIELDS = tuple(Retention.model_fields)
_OWN = ("uid", "program_uid", "turns", "removed_seq", "removed_turns", "swept_seq")
_SEEN = "retention_seen_us"


def get(connection: Connection, tenant: str) -> Retention | None:
    """The tenant's own."""
    row = connection.execute(select(*(table.c[name] for name in _FIELDS)).where(table.c.tenant == tenant)).first()
    return None if row is None else Retention(**row._mapping)


def put(
    connection: Connection, tenant: str, made: Retention | None, default: Retention, if_match: str | None
) -> None:  # fmt: skip
    """Let the tenant have its own, or the default again; nothing where that is so. Raises PreconditionFailed."""
    hold(connection, "retention of", tenant)
    own = get(connection, tenant)
    if own == made:
        return  # a repeat, perhaps
    if if_match is not None and if_match != (own or default).etag:
        raise PreconditionFailed("The retention changed since it was read; read it again, then send the change again.")
    connection.execute(delete(table).where(table.c.tenant == tenant))
    if made is not None:
        connection.execute(insert(table).values(tenant=tenant, **made.model_dump()))


def holds(connection: Connection, held: Held | None) -> bool:
    """Whether that is so, until the transaction ends; None always is."""
    if held is None:
        return True
    hold(connection, "retention of", held.tenant)
    return (get(connection, held.tenant) or held.default) == held.retention


def tenants(connection: Connection, default: Retention) -> dict[str, Retention]:
    """The tenants whose past is removed some day, each with what holds for it."""
    everyone = [] if default.keeps_all else connection.scalars(select(session.c.tenant).distinct()).all()
    own = {row.tenant: Retention(**{name: row[1 + place] for place, name in enumerate(_FIELDS)})
           for row in connection.execute(select(table.c.tenant, *(table.c[name] for name in _FIELDS)))}  # fmt: skip
    held = dict.fromkeys(everyone, default) | own
    return {tenant: retention for tenant, retention in held.items() if not retention.keeps_all}


def page(connection: Connection, tenant: str, after: str, limit: int) -> Sequence[Kept]:
    """The tenant's next sessions, by uid."""
    first_left = and_(journal.c.uid == session.c.uid, journal.c.seq == session.c.removed_seq + 1)
    oldest = select(journal.c.at_us).where(first_left).scalar_subquery()
    failed = select(func.min(failed_turn.c.at_us)).where(failed_turn.c.uid == session.c.uid).scalar_subquery()
    columns = [session.c[name] for name in _OWN]
    rows = select(*columns, oldest, failed).where(session.c.tenant == tenant, session.c.uid > after)
    return [Kept._make(row) for row in connection.execute(rows.order_by(session.c.uid).limit(limit))]


def bound(connection: Connection, kept: Kept, turns: int | None, before_us: int | None) -> tuple[int, int]:
    """The last entry and the last turn to be removed, where so many turns stay, and nothing older than that does."""
    bounds = [kept.removed_seq]
    if turns is not None and kept.turns - turns > kept.removed_turns:
        number = kept.turns - turns + 1
        oldest = select(journal.c.seq).where(
            journal.c.uid == kept.uid, journal.c.seq >= max(number, kept.removed_seq + 1), journal.c.turn == number,
            journal.c.kind == "turn",
        )  # fmt: skip
        bounds.append((connection.scalar(oldest.order_by(journal.c.seq).limit(1)) or 1) - 1)
    if before_us is not None and kept.oldest_at_us is not None and kept.oldest_at_us < before_us:
        bounds.append(_last_before(connection, kept, before_us))
    seq = max(bounds)
    last = select(func.max(journal.c.turn)).where(
        journal.c.uid == kept.uid, journal.c.seq > kept.removed_seq, journal.c.seq <= seq, journal.c.kind == "turn"
    )
    return seq, connection.scalar(last) or kept.removed_turns


def _last_before(connection: Connection, kept: Kept, before_us: int) -> int:
    left = select(journal.c.seq).where(journal.c.uid == kept.uid, journal.c.seq > kept.removed_seq)
    young = connection.scalar(left.where(journal.c.at_us >= before_us).order_by(journal.c.seq).limit(1))
    if young is not None:
        return int(young) - 1
    # This statement sees a later moment: what was committed since is young.
    old = left.where(journal.c.at_us < before_us).order_by(journal.c.seq.desc())
    return int(connection.scalar(old.limit(1)) or kept.removed_seq)


def remove(connection: Connection, uid: str, seq: int, turns: int) -> None:
    """From now on entries up to `seq`, and turns up to `turns`, are removed; nothing where more are."""
    hold(connection, "retention", uid)
    further = (session.c.uid == uid, session.c.removed_seq < seq)
    connection.execute(update(session).where(*further).values(removed_seq=seq, removed_turns=turns))


def unswept(connection: Connection, after: str, limit: int) -> Sequence[Kept]:
    """Sessions with removed entries that are not wiped out yet, by uid."""
    columns = [session.c[name] for name in _OWN]
    rows = select(*columns).where(session.c.swept_seq < session.c.removed_seq, session.c.uid > after)
    return [Kept._make((*row, None, None)) for row in connection.execute(rows.order_by(session.c.uid).limit(limit))]


def leftovers(connection: Connection, uid: str, below: int, swept: int, limit: int) -> Sequence[Entry]:
    """Entries before one that still say something, newest first; up to `swept` those that `wipe` left something of."""
    newest = select(journal).where(journal.c.uid == uid).order_by(journal.c.seq.desc()).limit(limit)
    since = newest.where(journal.c.seq < below, journal.c.seq > swept, journal.c.delta != b"")
    before = newest.where(journal.c.seq < min(below, swept + 1), journal.c.leftover.is_not(None))
    found = connection.execute(since).all() or connection.execute(before).all()
    return [entry_of(row) for row in found]


def wipe(connection: Connection, uid: str, left: Sequence[tuple[Entry, bytes]]) -> None:
    """Leave of entries, as they were read, no more than that; what a later sweep may take is marked."""
    empty = [entry.seq for entry, delta in left if not delta]
    of_uid = update(journal).where(journal.c.uid == uid)
    connection.execute(of_uid.where(journal.c.seq.in_(empty)).values(delta=b"", leftover=None))
    for entry, delta in left:
        if delta:
            # Another sweep may have left less since: nothing comes back.
            same = of_uid.where(journal.c.seq == entry.seq, journal.c.delta == entry.delta)
            mark = can_lose(replace(entry, delta=delta)) or None
            connection.execute(same.values(delta=delta, leftover=mark))


def swept(connection: Connection, uid: str, seq: int) -> None:
    """Entries up to `seq` are wiped out: so are snapshots that were made of them."""
    # The session's row first, as a deletion has it: else each of the two may wait for the other.
    further = update(session).where(session.c.uid == uid, session.c.swept_seq < seq).values(swept_seq=seq)
    if connection.execute(further).rowcount:
        connection.execute(delete(snapshot).where(snapshot.c.uid == uid, snapshot.c.seq < seq))


def old_failures(
    connection: Connection, uid: str, before_us: int, after: FailedTurn | None, limit: int
) -> Sequence[FailedTurn]:  # fmt: skip
    """Failed attempts older than that, oldest first, and after one of them."""
    key = (failed_turn.c.at_us, failed_turn.c.turn_id, failed_turn.c.attempt)
    rows: Select[Any] = select(*(failed_turn.c[name] for name in FailedTurn.__slots__))
    rows = rows.where(failed_turn.c.uid == uid, failed_turn.c.at_us < before_us)
    if after is not None:
        rows = rows.where(tuple_(*key) > tuple_(after.at_us, after.turn_id, after.attempt))
    return [FailedTurn(*row) for row in connection.execute(rows.order_by(*key).limit(limit))]


def remove_failures(connection: Connection, failed: Sequence[FailedTurn], now_us: int) -> None:
    """Delete attempts, but one that may still run; what says of a turn that it is poison stays, without the inputs."""
    gone: list[FailedTurn] = []
    for attempt in failed:
        problem = orjson.loads(attempt.problem)
        is_lost = problem.get("code") == HostLost.code
        if is_lost and attempt.at_us >= now_us - MAY_RUN_US:
            continue
        if problem.get("code") == PoisonTurn.code or (is_lost and problem.get(ALONE)):
            connection.execute(update(failed_turn).where(*_is(attempt)).values(inputs=b"{}"))
        else:
            gone.append(attempt)
    if gone:
        connection.execute(delete(failed_turn).where(or_(*(and_(*_is(attempt)) for attempt in gone))))


def trusts(connection: Connection, now_us: int) -> bool:
    """Whether things may be removed for their age at that time; it is remembered for the next one who asks."""
    hold(connection, "retention clock")
    is_seen = meta.c.key == _SEEN
    found = connection.scalar(select(meta.c.value).where(is_seen))
    seen, is_trusted = Seen(*map(int, (found or "").split())).told(now_us)
    connection.execute(delete(meta).where(is_seen))
    connection.execute(insert(meta).values(key=_SEEN, value=" ".join(map(str, seen))))
    return is_trusted


def _is(attempt: FailedTurn) -> Collection[Any]:  # Any: clauses
    """That very attempt: one of the same key may have replaced it."""
    columns = (failed_turn.c.uid, failed_turn.c.turn_id, failed_turn.c.attempt, failed_turn.c.at_us)
    values = (attempt.uid, attempt.turn_id, attempt.attempt, attempt.at_us)
    return [column == value for column, value in zip(columns, values, strict=True)]
