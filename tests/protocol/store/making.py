"""What the store's tests are made of: programs, sessions and entries with the least that each needs."""

from __future__ import annotations

import hashlib

from dspex_actors.resources.journal import Entry
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.store import Lease, Page, Store

TENANT = "default"


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
