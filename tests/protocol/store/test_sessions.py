"""The contract of sessions."""

from __future__ import annotations

import pytest

from dspex_actors.clock import ManualClock
from dspex_actors.errors import AlreadyExists, InvalidRequest, NotFound
from dspex_actors.ids import shard_of, unit_of_shard
from dspex_actors.resources.journal import FailedTurn
from dspex_actors.resources.session import SessionSpec
from dspex_actors.store import Page, Store
from tests.protocol.store.making import TENANT, make_program, make_session, turn_of


def test_a_session_is_bound_to_its_program(store: Store, clock: ManualClock) -> None:
    """It has its shard from its uid, no entries yet, and comes back by id and by uid."""
    make_program(store)
    made = store.create_session(TENANT, SessionSpec(program="qa", id="alice", lm="mock")).value
    program = store.get_program(TENANT, "qa")
    assert (made.program_uid, made.program, made.version, made.lm) == (program.uid, "qa", 1, "mock")
    assert (made.shard, made.unit) == (shard_of(TENANT, made.uid), unit_of_shard(made.shard))
    assert (made.seq, made.turns, made.created_at_us) == (0, 0, clock.now_us())
    assert [store.get_session(TENANT, "alice"), store.load_session(made.uid)] == [made, made]


def test_a_session_without_an_id_gets_one(store: Store) -> None:
    """A ULID in lower case, another one than its uid."""
    made = make_session(store)
    assert len(made.id) == 26
    assert made.id == made.id.lower() != made.uid.lower()


def test_a_session_can_name_its_programs_version(store: Store) -> None:
    """And is refused where there is none such."""
    make_program(store)
    assert store.create_session(TENANT, SessionSpec(program="qa@1")).value.version == 1
    for missing in ("qa@2", "qa@0", "other", "other@1"):
        with pytest.raises(NotFound, match=missing):
            store.create_session(TENANT, SessionSpec(program=missing))


@pytest.mark.parametrize("program", ["", "@1", "qa@", "qa@x", "qa@-1", "qa@1@1", "qa@²", "qa@" + "9" * 40, "q a"])
def test_a_program_reference_that_is_none_is_invalid(store: Store, program: str) -> None:
    """The error names the field."""
    make_program(store)
    with pytest.raises(InvalidRequest) as caught:
        store.create_session(TENANT, SessionSpec(program=program))
    assert caught.value.errors[0]["loc"] == ["program"]


def test_an_id_is_unique_in_its_tenant_only(store: Store) -> None:
    """Other tenants neither collide with it nor see it."""
    make_session(store, "alice")
    with pytest.raises(AlreadyExists, match="'alice'"):
        make_session(store, "alice")
    with pytest.raises(NotFound):
        store.get_session("other", "alice")


def test_what_is_not_there_is_not_found(store: Store) -> None:
    """Each way of asking."""
    for call in (
        lambda: store.get_session(TENANT, "alice"),
        lambda: store.load_session("01J"),
        lambda: store.delete_session(TENANT, "alice"),
    ):
        with pytest.raises(NotFound):
            call()


def test_deleting_a_session_removes_all_of_its_uid(store: Store) -> None:
    """Entries and failed attempts; a neighbour's stay."""
    gone, stays = make_session(store, "alice"), make_session(store, "bob")
    for session in (gone, stays):
        store.commit([turn_of(session, 1)])
        store.record_failures([FailedTurn(session.uid, "t", 1, 0, b"{}", b"{}", 1)])
    assert store.delete_session(TENANT, "alice") == gone.uid
    assert (store.entries(gone.uid), store.failures(gone.uid)) == ([], [])
    assert (len(store.entries(stays.uid)), len(store.failures(stays.uid))) == (1, 1)


def test_sessions_are_listed_newest_first_in_pages(store: Store, clock: ManualClock) -> None:
    """The cursor goes on where the page ended, though a newer session came meanwhile."""
    for name in ("a", "b", "c"):
        make_session(store, name)
        clock.advance(1)
    first = store.list_sessions(TENANT, Page(limit=2))
    make_session(store, "d")
    second = store.list_sessions(TENANT, Page(limit=2, cursor=first.next_cursor))
    assert [[session.id for session in page.items] for page in (first, second)] == [["c", "b"], ["a"]]
    assert second.next_cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "é", "W10", "W10=", "bnVsbA", "WyJhIiwiYiJd", "WzFlNDAsImIiXQ"])
def test_a_cursor_that_no_list_gave_out_is_invalid(store: Store, cursor: str) -> None:
    """For every list."""
    for call in (store.list_sessions, store.list_programs):
        with pytest.raises(InvalidRequest, match="next_cursor"):
            call(TENANT, Page(cursor=cursor))
    with pytest.raises(InvalidRequest, match="next_cursor"):
        store.turns("01J", Page(cursor=cursor))


@pytest.mark.parametrize("limit", [0, -1, 10_001])
def test_a_limit_that_is_no_count_is_invalid(store: Store, limit: int) -> None:
    """For every list."""
    for call in (store.list_sessions, store.list_programs, store.turns):
        with pytest.raises(InvalidRequest, match="limit"):
            call("x", Page(limit=limit))
