"""Rows of programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from dspex_actors.errors import AlreadyExists, InUse, NotFound, PreconditionFailed
from dspex_actors.ids import new_ulid
from dspex_actors.resources.program import Program, ProgramChange, ProgramSpec
from dspex_actors.store.paging import by_creation, listing
from dspex_actors.store.port import Listing, Page
from dspex_actors.store.schema import program, session

_MAX_VERSION = 2**31 - 1


def create(connection: Connection, tenant: str, spec: ProgramSpec, now_us: int) -> Program:
    """Insert version 1. Raises AlreadyExists."""
    made = Program(new_ulid(), tenant, 1, spec, now_us)
    try:
        connection.execute(insert(program).values({**_row(made), "name": spec.name}))
    except IntegrityError as fault:
        msg = f"A program named {spec.name!r} exists; choose another name, or delete that one first."
        raise AlreadyExists(msg) from fault
    return made


def page(connection: Connection, tenant: str, wanted: Page) -> Listing[Program]:
    """One page of the tenant's programs, each with its live version."""
    rows = by_creation(_shown().where(program.c.tenant == tenant, program.c.live), program, wanted)
    return listing(connection.execute(rows).all(), wanted, _program)


def find(connection: Connection, tenant: str, name: str, version: int | None, *, lock: bool = False) -> Program:
    """The live version or the given one; `lock` keeps it from being deleted meanwhile. Raises NotFound."""
    rows = _shown().where(program.c.tenant == tenant, program.c.name == name)
    rows = rows.where(program.c.live if version is None else program.c.version == min(version, _MAX_VERSION))
    row = connection.execute(rows.with_for_update(read=True) if lock else rows).first()
    if row is None:
        shown = name if version is None else f"{name}@{version}"
        raise NotFound(f"There is no program {shown!r}; create it first, or list the programs to see their names.")
    return _program(row)


def versions(connection: Connection, tenant: str, name: str, wanted: Page) -> Listing[Program]:
    """One page of a program's versions, newest first. Raises NotFound."""
    find(connection, tenant, name, None)
    rows = by_creation(_shown().where(program.c.tenant == tenant, program.c.name == name), program, wanted)
    return listing(connection.execute(rows).all(), wanted, _program)


def change(
    connection: Connection, tenant: str, name: str, change: ProgramChange, if_match: str | None, now_us: int
) -> Program:
    """Insert a new version: the live one, changed. The live one stays live. Raises NotFound, PreconditionFailed."""
    lock(connection, tenant, name)
    base = find(connection, tenant, name, None)
    check_match(base, if_match)
    made = replace(base, uid=new_ulid(), version=base.newest + 1, spec=change.of(base.spec), created_at_us=now_us)
    made = replace(made, live=False, newest=made.version)
    connection.execute(insert(program).values({**_row(made), "name": name}))
    return made


def promote(connection: Connection, tenant: str, name: str, version: int, if_match: str | None) -> Program:
    """Let a version be the live one, and no other. Raises NotFound, PreconditionFailed."""
    lock(connection, tenant, name)
    check_match(find(connection, tenant, name, None), if_match)
    find(connection, tenant, name, version)
    of_name = (program.c.tenant == tenant, program.c.name == name)
    connection.execute(update(program).where(*of_name).values(live=program.c.version == version))
    return find(connection, tenant, name, version)


def lock(connection: Connection, tenant: str, name: str) -> None:
    """Let no other transaction change the program's versions before this one has ended."""
    rows = select(program.c.uid).where(program.c.tenant == tenant, program.c.name == name).order_by(program.c.uid)
    connection.execute(rows.with_for_update()).all()


def check_match(found: Program, if_match: str | None) -> None:
    """Raises PreconditionFailed where somebody saw another state than there is."""
    if if_match is not None and if_match != found.etag:
        raise PreconditionFailed(
            f"The program {found.spec.name!r} was changed since it was read; read it again, then send the change again."
        )


def load(connection: Connection, uid: str) -> Program:
    """By uid. Raises NotFound."""
    row = connection.execute(_shown().where(program.c.uid == uid)).first()
    if row is None:
        raise NotFound(f"The program {uid} was deleted; create it again, and a new session with it.")
    return _program(row)


def recent(connection: Connection, limit: int) -> Sequence[Program]:
    """The newest of all tenants."""
    rows = _shown().order_by(program.c.created_at_us.desc(), program.c.uid.desc()).limit(limit)
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
        "live": made.live,
        "newest": made.newest,
    }


def parse(dumped: dict[str, Any]) -> Program:
    """The inverse of `dump`."""
    return Program(**{**dumped, "spec": ProgramSpec.model_validate(dumped["spec"])})


def _shown() -> Select[Any]:
    every = program.alias()
    newest = select(func.max(every.c.version)).where(every.c.tenant == program.c.tenant, every.c.name == program.c.name)
    return select(program, newest.scalar_subquery().label("newest"))


def _row(made: Program) -> dict[str, Any]:
    row = dump(made)
    del row["newest"]
    return row


def _program(row: Row[Any]) -> Program:
    spec = ProgramSpec.model_validate(row.spec, strict=False)
    return Program(row.uid, row.tenant, row.version, spec, row.created_at_us, row.live, row.newest)
