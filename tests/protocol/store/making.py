"""What the store's tests are made of: programs, sessions and entries with the least that each needs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from dspex_actors.resources.journal import Entry
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.store import Lease, Page, Store

TENANT = "default"
_SQLITE_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE tbl_name != 'alembic_version'"
_POSTGRES_SCHEMA = """
    SELECT 'column', table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name != 'alembic_version'
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), NULL, contype::text, NULL
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text != 'alembic_version'
    UNION ALL
    SELECT 'index', tablename, indexname, indexdef, NULL, NULL, NULL
    FROM pg_indexes WHERE schemaname = 'public' AND tablename != 'alembic_version'
"""


def make_program(store: Store, name: str = "qa") -> None:
    """A program of that name."""
    store.create_program(TENANT, ProgramSpec(name=name, signature="question -> answer", params={"n": 1}))


def make_session(store: Store, session_id: str | None = None, epoch: int = 1) -> SessionRecord:
    """A session (of the program `qa`, made when missing) whose unit is leased at `epoch`."""
    if not store.list_programs(TENANT, Page(limit=1)).items:
        make_program(store)
    made = store.create_session(TENANT, SessionSpec(program="qa", id=session_id)).value
    store.seed_leases({made.unit: "host-a"})
    while (held := lease_of(store, made)).epoch < epoch:
        store.take_over([held], "host-a")
    return made


def lease_of(store: Store, session: SessionRecord) -> Lease:
    """The lease of the session's unit."""
    return next(lease for lease in store.leases() if lease.unit == session.unit)


def turn_of(
    session: SessionRecord, seq: int, *, turn_id: str | None = None, epoch: int = 1, body: str = "", unit: str = ""
) -> Entry:
    """The session's turn number `seq`, as its entry number `seq`."""
    return Entry(
        uid=session.uid,
        seq=seq,
        kind="turn",
        turn=seq,
        turn_id=turn_id or f"turn-{seq}",
        body_hash=hashlib.sha256(body.encode()).digest(),
        delta=b'{"inputs":{}}',
        at_us=1_700_000_000_000_000 + seq,
        unit=unit or session.unit,
        epoch=epoch,
    )


def sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement behind the store's back; its rows."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(exist_ok=True)
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


def schema_of(url: str) -> list[str]:
    """What the database says of every table, column, constraint and index but alembic's own, in no order of time."""
    rows = sql(url, _SQLITE_SCHEMA) if url.startswith("sqlite") else sql(url, _POSTGRES_SCHEMA)
    return sorted(re.sub(r"\\[nt]|\s", "", str(row)) for row in rows)
