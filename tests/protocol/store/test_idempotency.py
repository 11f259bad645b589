"""The contract of creations that are sent twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dspex_actors.clock import ManualClock
from dspex_actors.errors import AlreadyExists, IdempotencyMismatch, NotFound
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.session import SessionSpec
from dspex_actors.store import Idempotency, Page, Store
from tests.protocol.store.making import TENANT, make_program, turn_of

SPEC = ProgramSpec(name="qa", signature="q -> a", params={"n": 1})
KEY = Idempotency(TENANT, "key-1", "POST /programs", "k", b"body")


def test_a_repeated_program_creation_gives_the_first_answer(store: Store) -> None:
    """And makes no second program."""
    first = store.create_program(TENANT, SPEC, KEY)
    again = store.create_program(TENANT, SPEC, KEY)
    assert (first.replayed, again.replayed, again.value) == (False, True, first.value)


def test_a_replay_is_as_recorded_though_the_program_is_gone(store: Store) -> None:
    """The client asked once; it is not made again."""
    first = store.create_program(TENANT, SPEC, KEY)
    store.delete_program(TENANT, "qa")
    assert store.create_program(TENANT, SPEC, KEY).value == first.value
    with pytest.raises(NotFound):
        store.get_program(TENANT, "qa")


def test_a_repeated_session_creation_gives_the_first_answer(store: Store) -> None:
    """As it was then: without the turns since."""
    make_program(store)
    first = store.create_session(TENANT, SessionSpec(program="qa"), KEY).value
    store.seed_leases({first.unit: "host-a"})
    store.commit([turn_of(first, 1)])
    again = store.create_session(TENANT, SessionSpec(program="qa"), KEY)
    assert again.replayed
    assert again.value == first
    assert len(store.list_sessions(TENANT, Page()).items) == 1


def test_deleting_a_session_forgets_its_creation(store: Store) -> None:
    """The same key makes another session then, with another uid."""
    make_program(store)
    first = store.create_session(TENANT, SessionSpec(program="qa", id="alice"), KEY).value
    store.delete_session(TENANT, "alice")
    again = store.create_session(TENANT, SessionSpec(program="qa", id="alice"), KEY)
    assert not again.replayed
    assert again.value.uid != first.uid


def test_a_key_with_another_body_is_a_mismatch(store: Store) -> None:
    """Nothing is made."""
    store.create_program(TENANT, SPEC, KEY)
    with pytest.raises(IdempotencyMismatch, match="'k'"):
        store.create_program(TENANT, ProgramSpec(name="b"), replace(KEY, body_hash=b"other"))
    assert [program.spec.name for program in store.list_programs(TENANT, Page()).items] == ["qa"]


@pytest.mark.parametrize(
    "elsewhere",
    [replace(KEY, tenant="t2"), replace(KEY, principal="p2"), replace(KEY, route="r2"), replace(KEY, key="k2")],
)
def test_a_key_counts_for_its_tenant_principal_and_route_alone(store: Store, elsewhere: Idempotency) -> None:
    """Elsewhere it is a new one."""
    store.create_program(TENANT, SPEC, KEY)
    made = store.create_program(TENANT, ProgramSpec(name="b"), elsewhere)
    assert (made.replayed, made.value.spec.name) == (False, "b")


def test_a_creation_that_failed_leaves_its_key_free(store: Store) -> None:
    """The key is recorded with the thing, or not at all."""
    make_program(store)
    with pytest.raises(AlreadyExists):
        store.create_program(TENANT, SPEC, KEY)
    store.delete_program(TENANT, "qa")
    assert not store.create_program(TENANT, SPEC, KEY).replayed


def test_a_key_is_kept_for_a_day(store: Store, clock: ManualClock) -> None:
    """Until the last microsecond; then it is a new one."""
    store.create_program(TENANT, SPEC, KEY)
    clock.advance(24 * 3600 - 0.000001)
    assert store.create_program(TENANT, SPEC, KEY).replayed
    clock.advance(0.000001)
    with pytest.raises(AlreadyExists):
        store.create_program(TENANT, SPEC, KEY)
