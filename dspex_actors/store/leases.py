"""Who runs which unit. There is no unowned state: a lease is made with a host and changes by compare-and-set."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ARRAY, Connection, String, any_, bindparam, func, insert, literal_column, select, update

from dspex_actors.store.driver import cached_text_of, run, run_many
from dspex_actors.store.locks import hold
from dspex_actors.store.port import Lease
from dspex_actors.store.schema import lease

_IS_SHARDS = func.substr(lease.c.unit, literal_column("1"), literal_column("6")) == literal_column("'shard:'")
_TAKE = (
    update(lease)
    .values(epoch=bindparam("next"), host=bindparam("h"))
    .where(lease.c.unit == bindparam("u"), lease.c.epoch == bindparam("seen"))
)
_INHERIT = (
    update(lease)
    .values(epoch=lease.c.epoch + literal_column("1"), host=bindparam("h"))
    .where(lease.c.host == bindparam("lost"), _IS_SHARDS)
)
_RAISE = (
    update(lease)
    .values(epoch=lease.c.epoch + literal_column("1"), host=bindparam("h"))
    .where(lease.c.unit == any_(bindparam("units", type_=ARRAY(String))))
)
_HELD = select(lease.c.unit, lease.c.epoch).where(lease.c.host == bindparam("h")).order_by(lease.c.unit)
_LOCK = select(lease.c.unit, lease.c.epoch).order_by(lease.c.unit).with_for_update()
_LOCK_THESE = _LOCK.where(lease.c.unit == any_(bindparam("units", type_=ARRAY(String))))
_LOCK_OF = _LOCK.where(lease.c.host == bindparam("lost"))


def seed(connection: Connection, owners: dict[str, str]) -> None:
    """Insert the units that are missing, at epoch 1."""
    hold(connection, "leases")
    known = set(connection.scalars(select(lease.c.unit)))
    missing = [{"unit": unit, "epoch": 1, "host": owners[unit]} for unit in sorted(owners.keys() - known)]
    if missing:
        connection.execute(insert(lease).values(missing))


def every(connection: Connection) -> Sequence[Lease]:
    """All leases in key order."""
    return [Lease(*row) for row in connection.execute(select(lease).order_by(lease.c.unit))]


def held_by(connection: Connection, host: str) -> dict[str, int]:
    """The epochs of one host's leases, by unit."""
    return dict(run(connection, cached_text_of(_HELD, connection), (host,)))


def take_over(connection: Connection, seen: Sequence[Lease], host: str) -> list[Lease]:
    """Move each lease that is still at the epoch seen; gives those, at their new epochs, in key order."""
    wanted = {old.unit: old.epoch for old in seen}
    # The rows are locked in key order first, so that what is read here is what the update finds.
    rows = _locked(connection, list(wanted))
    won = [unit for unit, epoch in rows if wanted.get(unit) == epoch]
    taken = [Lease(unit, wanted[unit] + 1, host) for unit in won]
    if _has_row_locks(connection):
        run(connection, cached_text_of(_RAISE, connection), (host, won))
    elif taken:
        text = cached_text_of(_TAKE, connection)
        run_many(connection, text, [(new.epoch, host, new.unit, new.epoch - 1) for new in taken])
    return taken


def inherit(connection: Connection, lost: str, heir: str) -> list[Lease]:
    """Move the lease of every shard of a host that is gone for good; gives all that the heir holds then, in key order.

    A compare-and-set like the other one, by the owner instead of the epoch: host names are never used twice. It takes
    a third of the time, because the rows are not sent one by one.
    """
    if _has_row_locks(connection):
        run(connection, cached_text_of(_LOCK_OF, connection), (lost,))  # in key order, as everybody takes them
    run(connection, cached_text_of(_INHERIT, connection), (heir, lost))
    held = run(connection, cached_text_of(_HELD, connection), (heir,))
    return [Lease(unit, epoch, heir) for unit, epoch in held]


def _locked(connection: Connection, units: list[str]) -> list[tuple[str, int]]:
    if _has_row_locks(connection):
        return run(connection, cached_text_of(_LOCK_THESE, connection), (units,))
    # All of them: no lock is one row's, there are few rows, and most takeovers want most.
    return run(connection, cached_text_of(_LOCK, connection), ())


def _has_row_locks(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"
