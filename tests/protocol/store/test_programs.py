"""The contract of programs."""

from __future__ import annotations

import pytest

from dspex_actors.clock import ManualClock
from dspex_actors.errors import AlreadyExists, InUse, NotFound
from dspex_actors.resources.program import Program, ProgramSpec
from dspex_actors.store import Page, Store
from tests.protocol.store.making import TENANT, make_program, make_session

SPEC = ProgramSpec(name="qa", signature="q -> a", params={"history_window": 3, "ö": [1.5, None]}, lm="mock")


def test_a_program_comes_back_as_it_was_made(store: Store, clock: ManualClock) -> None:
    """By name, by version and by uid."""
    made = store.create_program(TENANT, SPEC)
    program = made.value
    assert not made.replayed
    assert (program.spec, program.version, program.created_at_us) == (SPEC, 1, clock.now_us())
    found = [store.get_program(TENANT, "qa"), store.get_program(TENANT, "qa", 1), store.load_program(program.uid)]
    assert found == [program] * 3


def test_a_name_is_unique_in_its_tenant_only(store: Store) -> None:
    """Another tenant may use it, and sees its own."""
    store.create_program(TENANT, SPEC)
    with pytest.raises(AlreadyExists, match="'qa'"):
        store.create_program(TENANT, SPEC)
    assert store.create_program("other", SPEC).value == store.get_program("other", "qa")


@pytest.mark.parametrize("version", [0, 2, 10**30])
def test_a_version_that_was_never_made_is_not_found(store: Store, version: int) -> None:
    """Whatever the number."""
    store.create_program(TENANT, SPEC)
    with pytest.raises(NotFound, match=f"'qa@{version}'"):
        store.get_program(TENANT, "qa", version)


def test_what_is_not_there_is_not_found(store: Store) -> None:
    """Each way of asking."""
    for call in (
        lambda: store.get_program(TENANT, "qa"),
        lambda: store.load_program("01J"),
        lambda: store.delete_program(TENANT, "qa"),
    ):
        with pytest.raises(NotFound):
            call()


def test_a_deleted_program_can_be_made_again_under_another_uid(store: Store) -> None:
    """Nothing that knows the old uid finds the new program."""
    old = store.create_program(TENANT, SPEC).value
    store.delete_program(TENANT, "qa")
    assert store.create_program(TENANT, SPEC).value.uid != old.uid
    with pytest.raises(NotFound):
        store.load_program(old.uid)


def test_a_program_with_sessions_is_in_use(store: Store) -> None:
    """Until the last of them is gone."""
    session = make_session(store, "alice")
    with pytest.raises(InUse, match="'alice'"):
        store.delete_program(TENANT, "qa")
    store.delete_session(TENANT, session.id)
    store.delete_program(TENANT, "qa")


@pytest.mark.parametrize("descending", [True, False])
def test_pages_of_programs_join_without_gap_or_repetition(store: Store, clock: ManualClock, descending: bool) -> None:
    """Also where two were made in the same microsecond."""
    for number in range(5):
        make_program(store, f"p{number}")
        clock.advance(number % 2)
    seen, cursor = [], None
    while page := store.list_programs(TENANT, Page(2, cursor, descending)):
        seen += [program.uid for program in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    every = store.list_programs(TENANT, Page(50, None, descending)).items
    assert seen == [program.uid for program in sorted(every, key=_age, reverse=descending)]
    assert len(set(seen)) == 5


def _age(program: Program) -> tuple[int, str]:
    return program.created_at_us, program.uid


def test_the_newest_programs_of_all_tenants_come_first(store: Store, clock: ManualClock) -> None:
    """As many as are asked for."""
    made: list[Program] = []
    for tenant in (TENANT, "other", TENANT):
        clock.advance(1)
        made.append(store.create_program(tenant, ProgramSpec(name=f"p{len(made)}", signature="q -> a")).value)
    assert store.recent_programs(2) == [made[2], made[1]]
