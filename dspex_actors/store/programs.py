"""Rows of programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select
from sqlalchemy.exc import IntegrityError

from dspex_actors.errors import AlreadyExists, InUse, NotFound
from dspex_actors.ids import new_ulid
from dspex_actors.resources.program import Program, ProgramSpec
from dspex_actors.store.paging import by_creation, listing
from dspex_actors.store.port import Listing, Page
from dspex_actors.store.schema import program, session

_MAX_VERSION = 2**31 - 1


def create(connection: Connection, tenant: str, spec: ProgramSpec, now_us: int) -> Program:
    """Insert version 1. Raises AlreadyExists."""
    made = Program(new_ulid(), tenant, 1, spec, now_us)
    try:
        connection.execute(insert(program).values({**dump(made), "name": spec.name}))
    except IntegrityError as fault:
        msg = f"A program named {spec.name!r} exists; choose another name, or delete that one first."
        raise AlreadyExists(msg) from fault
    return made


def page(connection: Connection, tenant: str, wanted: Page) -> Listing[Program]:
    """One page of the tenant's programs."""
    rows = by_creation(select(program).where(program.c.tenant == tenant), program, wanted)
    return listing(connection.execute(rows).all(), wanted, _program)


def find(connection: Connection, tenant: str, name: str, version: int | None, *, lock: bool = False) -> Program:
    """The live (newest) version or the given one; `lock` keeps it from being deleted meanwhile. Raises NotFound."""
    rows = select(program).where(program.c.tenant == tenant, program.c.name == name)
    rows = rows.order_by(program.c.version.desc()).limit(1)
    if version is not None:
        rows = rows.where(program.c.version == min(version, _MAX_VERSION))
    row = connection.execute(rows.with_for_update(read=True) if lock else rows).first()
    if row is None:
        shown = name if version is None else f"{name}@{version}"
        raise NotFound(f"There is no program {shown!r}; create it first, or list the programs to see their names.")
    return _program(row)


def load(connection: Connection, uid: str) -> Program:
    """By uid. Raises NotFound."""
    row = connection.execute(select(program).where(program.c.uid == uid)).first()
    if row is None:
        raise NotFound(f"The program {uid} was deleted; create it again, and a new session with it.")
    return _program(row)


def recent(connection: Connection, limit: int) -> Sequence[Program]:
    """The newest of all tenants."""
    rows = select(program).order_by(program.c.created_at_us.desc(), program.c.uid.desc()).limit(limit)
    return [_program(row) for row in connection.execute(rows)]


def remove(connection: Connection, tenant: str, name: str) -> None:
    """Delete every version. Raises NotFound, InUse."""
    of_name = (program.c.tenant == tenant, program.c.name == name)
    uids = connection.scalars(select(program.c.uid).where(*of_name).with_for_update()).all()
    if not uids:
        raise NotFound(f"There is no program {name!r}; list the programs to see their names.")
    bound = connection.scalar(select(session.c.id).where(session.c.program_uid.in_(uids)).limit(1))
    if bound is not None:
        raise InUse(f"Sessions run the program {name!r} ({bound!r} is one); delete them first.")
    connection.execute(delete(program).where(*of_name))


def dump(made: Program) -> dict[str, Any]:
    """A program as JSON's types."""
    return {
        "uid": made.uid,
        "tenant": made.tenant,
        "version": made.version,
        "spec": made.spec.model_dump(mode="json"),
        "created_at_us": made.created_at_us,
    }


def parse(dumped: dict[str, Any]) -> Program:
    """The inverse of `dump`."""
    return Program(**{**dumped, "spec": ProgramSpec.model_validate(dumped["spec"])})


def _program(row: Row[Any]) -> Program:
    return Program(row.uid, row.tenant, row.version, ProgramSpec.model_validate(row.spec), row.created_at_us)
