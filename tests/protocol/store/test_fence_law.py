"""The law of the fence: whatever two owners do, one journal without a gap or a second entry under one number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_actors.resources.journal import Entry, Verdict
from dspex_actors.resources.session import SessionRecord
from dspex_actors.store import Lease, SqlStore, open_store
from tests.protocol.store.making import lease_of, make_session, turn_of
from tests.support.postgres import PostgresServer

STEPS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["take", "read", "commit", "repeat"])), max_size=40)


@dataclass
class Owner:
    """A host with what it believes: its lease, and the number of the last entry it knows."""

    name: str
    lease: Lease
    seq: int = 0
    sent: Entry | None = None
    made: int = 0


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest) -> Iterator[SqlStore]:
    """One store for every example; each has a session of its own."""
    opened = open_store("sqlite://" if request.param == "sqlite" else _in_postgres(request))
    yield opened
    opened.close()


@settings(deadline=None, max_examples=150)
@given(steps=STEPS)
def test_two_owners_never_break_a_journal(shared: SqlStore, steps: list[tuple[str, str]]) -> None:
    """Every entry acknowledged is there once, under the number it was given, and there is no other."""
    session = make_session(shared)
    owners = {name: Owner(name, lease_of(shared, session)) for name in "ab"}
    acknowledged: dict[int, str | None] = {}
    for name, step in steps:
        sent = _act(shared, session, owners[name], step)
        if sent is not None:
            assert acknowledged.setdefault(sent.seq, sent.turn_id) == sent.turn_id
    entries = shared.entries(session.uid)
    assert {entry.seq: entry.turn_id for entry in entries} == acknowledged
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert shared.load_session(session.uid).seq == len(entries)


def _in_postgres(request: pytest.FixtureRequest) -> str:
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url_of(server.create_database(request.getfixturevalue("template")))


def _act(store: SqlStore, session: SessionRecord, owner: Owner, step: str) -> Entry | None:
    """One step of an owner; the entry that it may acknowledge, if any."""
    match step:
        case "take":
            won = store.take_over([lease_of(store, session)], owner.name)
            owner.lease = won[0]
        case "read":
            owner.seq = store.load_session(session.uid).seq
        case "commit":
            owner.made += 1
            turn_id = f"{owner.name}-{owner.made}"
            owner.sent = turn_of(session, owner.seq + 1, turn_id=turn_id, epoch=owner.lease.epoch)
            return _send(store, owner)
        case "repeat" if owner.sent is not None:
            return _send(store, owner)
    return None


def _send(store: SqlStore, owner: Owner) -> Entry | None:
    assert owner.sent is not None
    [verdict] = store.commit([owner.sent])
    if verdict is not Verdict.COMMITTED:
        return None
    owner.seq = max(owner.seq, owner.sent.seq)
    return owner.sent
