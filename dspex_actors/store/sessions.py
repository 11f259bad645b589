"""Rows of sessions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select
from sqlalchemy.exc import IntegrityError

from dspex_actors.errors import AlreadyExists, InvalidRequest, NotFound
from dspex_actors.ids import check_name, new_ulid, shard_of, unit_of_session, unit_of_shard
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.resources.variables import Own, checked, merged
from dspex_actors.store import programs
from dspex_actors.store.guests import settle_in
from dspex_actors.store.paging import by_creation, listing
from dspex_actors.store.port import Listing, Page
from dspex_actors.store.schema import failed_turn, idempotency, journal, lease, session, snapshot


def create(connection: Connection, tenant: str, spec: SessionSpec, now_us: int) -> SessionRecord:
    """Insert a session bound to its program's version. Raises NotFound, AlreadyExists, InvalidRequest."""
    name, version = parse_program(spec.program)
    bound = programs.find(connection, tenant, name, version, lock=True)
    own = Own(spec.declare, checked({**bound.spec.variables, **spec.declare}, spec.variables))
    merged({}, own.values)
    uid = new_ulid()
    shard = shard_of(tenant, uid)
    made = SessionRecord(
        uid=uid,
        tenant=tenant,
        id=spec.id if spec.id is not None else new_ulid().lower(),
        program_uid=bound.uid,
        program=name,
        version=bound.version,
        lm=spec.lm,
        shard=shard,
        unit=unit_of_shard(shard),
        seq=0,
        turns=0,
        created_at_us=now_us,
        on_busy=spec.on_busy,
        version_policy=spec.version_policy,
        variables=own.dump(),
        isolation=spec.isolation,
        memory_mb=spec.limits.memory_mb,
        cpus=spec.limits.cpus,
    )
    add(connection, made)
    return settle_in(connection, made)


def parse_program(reference: str) -> tuple[str, int | None]:
    """`name` or `name@version` as its parts. Raises InvalidRequest."""
    name, at, version = reference.partition("@")
    check_name(name, "program")
    if not at:
        return name, None
    if version.isascii() and version.isdigit() and len(version) <= 9:
        return name, int(version)
    msg = "program takes a name, or name@version with the version's number"
    raise InvalidRequest(msg + ".", errors=[{"loc": ["program"], "msg": msg, "type": "name"}])


def page(connection: Connection, tenant: str, wanted: Page) -> Listing[SessionRecord]:
    """One page of the tenant's sessions."""
    rows = by_creation(select(session).where(session.c.tenant == tenant), session, wanted)
    return listing(connection.execute(rows).all(), wanted, _record)


def find(connection: Connection, tenant: str, session_id: str, *, lock: bool = False) -> SessionRecord:
    """By the id that users see; `lock` keeps it from being deleted meanwhile, not from going on. Raises NotFound."""
    rows = select(session).where(session.c.tenant == tenant, session.c.id == session_id)
    rows = rows.with_for_update(read=True, key_share=True) if lock else rows
    row = connection.execute(rows).first()
    if row is None:
        raise NotFound(f"There is no session {session_id!r}; create it first, or list the sessions to see their ids.")
    return _record(row)


def remove(connection: Connection, tenant: str, session_id: str, only: str | None = None) -> str:
    """Delete the session, then all that hangs on its uid, so that a late commit finds no session; `only` the one of
    that uid. Raises NotFound."""
    of_id = [session.c.tenant == tenant, session.c.id == session_id, *([] if only is None else [session.c.uid == only])]
    uid = connection.scalar(select(session.c.uid).where(*of_id))
    # Leases before sessions, as commits lock them.
    connection.execute(delete(lease).where(lease.c.unit == unit_of_session(str(uid))))
    uid = connection.scalar(delete(session).where(*of_id, session.c.uid == uid).returning(session.c.uid))
    if uid is None:
        raise NotFound(f"There is no session {session_id!r}; list the sessions to see their ids.")
    for table in (journal, snapshot, failed_turn, idempotency):
        connection.execute(delete(table).where(table.c.uid == uid))
    return str(uid)


def dump(made: SessionRecord) -> dict[str, Any]:
    """A record as JSON's types."""
    return asdict(made)


def parse(dumped: dict[str, Any]) -> SessionRecord:
    """The inverse of `dump`."""
    return SessionRecord(**dumped)


def add(connection: Connection, made: SessionRecord) -> None:
    """Insert the row. Raises AlreadyExists."""
    try:
        connection.execute(insert(session).values(asdict(made)))
    except IntegrityError as fault:
        msg = f"A session with the id {made.id!r} exists; choose another id, or none to have one made."
        raise AlreadyExists(msg) from fault


def _record(row: Row[Any]) -> SessionRecord:
    return SessionRecord(**row._mapping)
