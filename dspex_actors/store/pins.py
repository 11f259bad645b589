"""Units on the move: an owner hands shards over, and a session gets a lease of its own, or goes back to its shard.

A session's own lease is made and removed, so its epochs cannot count from 1: they come from one counter of the store,
and an epoch that a session has had never comes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import BigInteger, Connection, String, cast, delete, insert, literal, literal_column, select, update

from dspex_actors.ids import unit_of_session
from dspex_actors.store import leases
from dspex_actors.store.locks import hold
from dspex_actors.store.port import Lease
from dspex_actors.store.schema import lease, meta, session

_COUNTER = "pin"
_STEP = 1 << 20
"""A takeover raises an epoch by one; between two pins of one session there is room for a million."""
_SHARD = literal("shard:") + cast(session.c.shard, String)
_DEDICATED = select(session.c.unit).where(session.c.isolation == literal_column("'dedicated'"))
"""These never are their shards': those hosts are others' too."""


def hand_over(
    connection: Connection, seen: Sequence[Lease], heir: str, staying: Iterable[tuple[str, str]]
) -> list[Lease]:
    """Move units that their owner gives away. Sessions that stay (uid, unit) get leases of their own at that owner.

    Gives the leases of these units and sessions as they are then, so that repeating a call whose answer was lost tells
    what became of it.
    """
    staying = list(staying)
    taken = leases.take_over(connection, seen, heir)
    giver, won = {old.unit: old.host for old in seen}, {new.unit for new in taken}
    for uid, unit in staying:
        if unit in won:
            pin(connection, uid, unit, giver[unit])
    others = [*(giver.keys() - won), *(unit_of_session(uid) for uid, _ in staying)]
    return sorted([*taken, *(_now(connection, others) if others else ())], key=lambda known: known.unit)


def move(connection: Connection, uid: str, seen: Lease, host: str | None) -> Lease | None:
    """Give a session to another host by a lease of its own, or (None) back to its shard, if `seen` still holds.

    Gives the session's own lease as it is then; a dedicated one keeps it.
    """
    own = unit_of_session(uid)
    if _now(connection, [seen.unit], lock=True) == [seen]:
        if host is None and seen.unit == own:
            _unpin(connection, [own])
        elif host is None:
            pass  # it is its shard's
        elif seen.unit == own:
            connection.execute(update(lease).where(lease.c.unit == own).values(epoch=_next(connection), host=host))
        else:
            pin(connection, uid, seen.unit, host)
    return next(iter(_now(connection, [own])), None)


def void(connection: Connection, lost: str) -> None:
    """Sessions that had leases of their own at a host that is gone are their shards' again, but for dedicated ones."""
    pinned = select(lease.c.unit).where(lease.c.host == lost, lease.c.unit.like("session:%")).order_by(lease.c.unit)
    units = list(connection.scalars(pinned.with_for_update()))
    if units:
        _unpin(connection, units)


def pin(connection: Connection, uid: str, unit: str, host: str) -> None:
    """Give a session that is served by the lease of `unit` one of its own at a host."""
    own = unit_of_session(uid)
    moved = update(session).where(session.c.uid == uid, session.c.unit == unit).values(unit=own)
    if connection.execute(moved).rowcount:  # else it was deleted
        connection.execute(insert(lease).values(unit=own, epoch=_next(connection), host=host))


def _unpin(connection: Connection, units: Sequence[str]) -> None:
    connection.execute(delete(lease).where(lease.c.unit.in_(units), lease.c.unit.not_in(_DEDICATED)))
    shared = (session.c.unit.in_(units), session.c.isolation != "dedicated")
    connection.execute(update(session).where(*shared).values(unit=_SHARD))


def _now(connection: Connection, units: Sequence[str], *, lock: bool = False) -> list[Lease]:
    rows = select(lease.c.unit, lease.c.epoch, lease.c.host).where(lease.c.unit.in_(units)).order_by(lease.c.unit)
    return [Lease(*row) for row in connection.execute(rows.with_for_update() if lock else rows)]


def _next(connection: Connection) -> int:
    raised = cast(cast(meta.c.value, BigInteger) + _STEP, String)
    counted = update(meta).where(meta.c.key == _COUNTER).values(value=raised).returning(meta.c.value)
    number = connection.scalar(counted)
    if number is None:
        hold(connection, "pins")
        number = connection.scalar(counted)  # somebody may have begun to count meanwhile
    if number is None:
        connection.execute(insert(meta).values(key=_COUNTER, value=str(_STEP)))
        return _STEP
    return int(number)
