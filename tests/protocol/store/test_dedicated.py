"""The contract of dedicated sessions: a lease of their own from the beginning, which they never lose to a shard."""

from __future__ import annotations

import pytest

from dspex_actors.errors import NotFound
from dspex_actors.resources.journal import Verdict
from dspex_actors.resources.session import ForkSpec, Guest, SessionLimits, SessionRecord, SessionSpec
from dspex_actors.store import Lease, Store
from dspex_actors.store.port import NOBODY
from tests.protocol.store.making import TENANT, lease_of, make_program, make_session, turn_of

LIMITS = SessionLimits(memory_mb=500, cpus=0.5)


def dedicated(store: Store, session_id: str = "ann") -> SessionRecord:
    """A dedicated session of the program `qa`."""
    make_program(store)
    return store.create_session(
        TENANT, SessionSpec(program="qa", id=session_id, isolation="dedicated", limits=LIMITS)
    ).value


def test_it_is_created_with_a_lease_that_nobody_has(store: Store) -> None:
    """Whoever reads it finds its limits."""
    ann = dedicated(store)
    lease = lease_of(store, ann)
    assert (ann.unit, lease.host) == (f"session:{ann.uid}", NOBODY)
    assert store.get_session(TENANT, "ann") == store.load_session(ann.uid) == ann
    assert store.dedicated() == [(Guest(ann.uid, "ann", 500, 0.5), lease)]


def test_its_host_takes_the_lease_over_and_commits_under_it(store: Store) -> None:
    """Nobody commits before, nor a host that has lost it."""
    ann = dedicated(store)
    waiting = lease_of(store, ann)
    (held,) = store.take_over([waiting], "host-b")
    assert store.commit([turn_of(ann, 1, epoch=waiting.epoch)]) == [Verdict.MOVED]
    assert store.commit([turn_of(ann, 1, epoch=held.epoch)]) == [Verdict.COMMITTED]


def test_no_heir_of_its_lost_host_gets_it(store: Store) -> None:
    """It keeps its lease, while a session that was moved there is its shard's again."""
    ann, bob = dedicated(store), make_session(store, "bob")
    (held,) = store.take_over([lease_of(store, ann)], "host-b")
    store.move_session(bob.uid, lease_of(store, bob), "host-b")
    inherited = store.inherit("host-b", "host-c")
    assert held.unit not in [lease.unit for lease in inherited]
    assert lease_of(store, ann) == held
    assert (store.load_session(ann.uid).unit, store.load_session(bob.uid).unit) == (ann.unit, bob.unit)


def test_it_is_never_sent_home_to_a_shard(store: Store) -> None:
    """Only from host to host."""
    ann = dedicated(store)
    (held,) = store.take_over([lease_of(store, ann)], "host-b")
    assert store.move_session(ann.uid, held, None) == held
    moved = store.move_session(ann.uid, held, "host-c")
    assert moved is not None
    assert (moved.host, moved.epoch > held.epoch) == ("host-c", True)


def test_its_fork_is_dedicated_too(store: Store) -> None:
    """With the same limits, and a lease of its own."""
    ann = dedicated(store)
    (held,) = store.take_over([lease_of(store, ann)], "host-b")
    store.commit([turn_of(ann, 1, epoch=held.epoch)])
    fork = store.fork_session(TENANT, "ann", ForkSpec(id="bob")).value
    assert (fork.isolation, fork.memory_mb, fork.cpus, fork.turns) == ("dedicated", 500, 0.5, 1)
    assert (lease_of(store, fork).host, [guest.id for guest, _ in store.dedicated()]) == (NOBODY, ["ann", "bob"])


def test_deleting_it_takes_the_lease_along(store: Store) -> None:
    """But only the session that is meant, where that is said."""
    ann = dedicated(store)
    with pytest.raises(NotFound):
        store.delete_session(TENANT, "ann", "another uid")
    assert len(store.dedicated()) == 1
    store.delete_session(TENANT, "ann", ann.uid)
    assert (store.dedicated(), store.leases()) == ([], list[Lease]())
