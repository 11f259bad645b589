"""Dedicated sessions: each has a lease of its own from the beginning, and never goes without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, literal_column, select

from dspex_actors.ids import unit_of_session
from dspex_actors.resources.session import Guest, SessionRecord
from dspex_actors.store import pins
from dspex_actors.store.port import NOBODY, Lease
from dspex_actors.store.schema import lease, session

_IS_ONE = session.c.isolation == literal_column("'dedicated'")  # as the index says it
_EVERY = (
    select(session.c.uid, session.c.id, session.c.memory_mb, session.c.cpus, lease.c.unit, lease.c.epoch, lease.c.host)
    .join(lease, lease.c.unit == session.c.unit)
    .where(_IS_ONE)
    .order_by(session.c.uid)
)


def settle_in(connection: Connection, made: SessionRecord) -> SessionRecord:
    """A session that was just inserted; a dedicated one with a lease of its own, which waits for a host."""
    if not made.is_dedicated:
        return made
    pins.pin(connection, made.uid, made.unit, NOBODY)
    return replace(made, unit=unit_of_session(made.uid))


def every(connection: Connection) -> Sequence[tuple[Guest, Lease]]:
    """All of them, oldest first."""
    return [(Guest(*row[:4]), Lease(*row[4:])) for row in connection.execute(_EVERY)]
