"""Variables and bindings over a real store: the law of what a session has after any course of things."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_actors.errors import InUse, InvalidRequest, NotFound, PreconditionFailed, StoreUnavailable
from dspex_actors.ids import new_ulid
from dspex_actors.resources.binding import Binding, binding_of
from dspex_actors.resources.program import ProgramChange, ProgramSpec
from dspex_actors.resources.session import ForkSpec, SessionRecord, SessionSpec, VersionPolicy
from dspex_actors.resources.snapshot import STATE_VERSION
from dspex_actors.resources.turn import bind_request, rewind_request, variable_request
from dspex_actors.resources.variables import Variable
from dspex_actors.sessions.changing import check_new
from dspex_actors.sessions.reading import recollect
from dspex_actors.sessions.state import replay
from dspex_actors.store import Page, Store, open_store
from tests.protocol.store.driving import Driven
from tests.protocol.store.making import TENANT
from tests.protocol.store.test_opening import opened_at

DECLARED = {"a": Variable(type="int", default=0), "b": Variable(type="json")}
VALUES = st.fixed_dictionaries({}, optional={"a": st.integers(0, 9), "b": st.text("xy", max_size=3)})
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("turn"), VALUES),
        st.tuples(st.just("put"), VALUES),
        st.tuples(st.just("replace"), VALUES),
        st.tuples(st.just("rewind"), st.integers(0, 20)),
        st.tuples(st.just("keep"), st.none()),
        st.tuples(st.just("wake"), st.none()),
        st.tuples(st.just("bind"), st.sampled_from(["pin", "follow"])),
    ),
    max_size=25,
)


def make(store: Store, policy: VersionPolicy = "pin", **more: Any) -> SessionRecord:
    """A session of a program that declares `a` and `b`."""
    name = f"p{new_ulid()}".lower()
    store.create_program(TENANT, ProgramSpec(name=name, signature="q -> a", variables=DECLARED))
    made = store.create_session(TENANT, SessionSpec(program=name, version_policy=policy, **more)).value
    store.seed_leases({made.unit: "host-a"})
    return made


def drive(store: Store, policy: VersionPolicy = "pin", **more: Any) -> Driven:
    """A session, ready to be driven."""
    return Driven(store, make(store, policy, **more).uid)


def put(driven: Driven, *, replacing: bool = False, if_match: int | None = None, **values: Any) -> dict[str, Any]:
    """Set values."""
    return driven.ask(variable_request(values, replacing, if_match, None, 9.0))


def bind(driven: Driven, if_match: int | None = None, **asked: Any) -> dict[str, Any]:
    """Bind to something else."""
    return driven.ask(bind_request(asked, if_match, None, 9.0))


class VariablesLaw:
    """What is set, and what was set right after each turn."""

    def __init__(self) -> None:
        self.now: dict[str, Any] = {}
        self.after: list[dict[str, Any]] = [{}]

    def step(self, driven: Driven, kind: str, what: Any) -> None:
        """Do it, to both."""
        match kind:
            case "turn":
                driven.turn(**what)
                self.now = {**self.now, **what}
                self.after.append(self.now)
            case "put" | "replace":
                put(driven, replacing=kind == "replace", **what)
                self.now = {**({} if kind == "replace" else self.now), **what}
            case "rewind":
                to_turn = what % len(self.after)
                driven.ask(rewind_request(to_turn, None, 9.0))
                self.now = self.after[to_turn]
            case "bind":
                bind(driven, version_policy=what)
            case "keep":
                driven.keep()
            case "wake":
                driven.wake()


def test_variables_are_what_was_set_and_a_rewind_brings_back_those_of_then(store: Store) -> None:
    """With turns that set some, changes, rewinds, bindings, snapshots and takeovers anywhere."""

    @settings(max_examples=60, deadline=None)
    @given(STEPS)
    def law_holds(steps: list[tuple[str, Any]]) -> None:
        driven, law = drive(store), VariablesLaw()
        for kind, what in steps:
            law.step(driven, kind, what)
            assert driven.session.state.variables == law.now
        entries = store.entries(driven.uid)
        assert driven.session.state == replay(entries, 3)
        assert recollect(store, store.load_session(driven.uid), 3).state(3) == replay(entries, 3)

    law_holds()


def test_a_fork_at_a_turn_has_the_variables_of_then(store: Store) -> None:
    """Whatever was set since; what is set in either is its own."""

    @settings(max_examples=25, deadline=None)
    @given(STEPS)
    def law_holds(steps: list[tuple[str, Any]]) -> None:
        driven, law = drive(store), VariablesLaw()
        for kind, what in steps:
            law.step(driven, kind, what)
        origin = driven.session.record
        for turn, values in enumerate(law.after):
            fork = store.fork_session(TENANT, origin.id, ForkSpec(at_turn=turn)).value
            assert recollect(store, fork, 3).found.variables == values
        now = store.fork_session(TENANT, origin.id, ForkSpec()).value
        assert recollect(store, now, 3).found.variables == law.now

    law_holds()


def test_a_fork_of_a_fork_knows_where_its_values_were_set(store: Store) -> None:
    """Entries keep their numbers, so a rewind in it finds what its turns point at."""
    driven = drive(store)
    driven.turn(a=1)
    driven.turn()
    put(driven, a=2)
    bind(driven, lm="mock")
    fork = store.fork_session(TENANT, driven.session.record.id, ForkSpec()).value
    assert (fork.lm, fork.changed) == ("mock", 0)
    store.seed_leases({fork.unit: "host-a"})
    other = Driven(store, fork.uid)
    other.ask(rewind_request(2, None, 9.0))
    assert (other.session.state.variables, driven.session.state.variables) == ({"a": 1}, {"a": 2})


def test_a_turn_sees_the_values_of_its_start(store: Store) -> None:
    """First ones, defaults, those of other turns; null where there is none."""
    driven = drive(store, variables={"a": 5})
    assert driven.turn() == {"a": 5, "b": None}
    driven.turn(b=[1])
    assert driven.turn() == {"a": 5, "b": [1]}


def test_a_change_of_variables_that_were_changed_meanwhile_is_refused(store: Store) -> None:
    """By whom does not matter: a turn, a rewind, another change."""
    driven = drive(store)
    first = put(driven, a=1)["seq"]
    put(driven, if_match=first, a=2)
    with pytest.raises(PreconditionFailed, match="read it again"):
        put(driven, if_match=first, a=3)
    driven.turn(a=4)
    with pytest.raises(PreconditionFailed):
        put(driven, if_match=first + 1, a=3)
    assert driven.session.state.variables == {"a": 4}


def test_a_bad_value_changes_nothing(store: Store) -> None:
    """Also the good ones beside it."""
    driven = drive(store)
    with pytest.raises(InvalidRequest, match="a must be a whole number"):
        put(driven, b=1, a="x")
    with pytest.raises(NotFound, match="has a, b"):
        put(driven, c=1)
    with pytest.raises(InvalidRequest, match="65,536"):
        put(driven, b="x" * 70_000)
    assert (driven.session.state.variables, store.entries(driven.uid)) == ({}, [])


def test_a_session_brings_variables_of_its_own(store: Store) -> None:
    """Beside the program's and instead of them; bad first values make no session."""
    own = {"a": Variable(type="string", default="text"), "c": Variable(type="bool")}
    driven = drive(store, declare=own, variables={"c": True})
    assert driven.turn() == {"a": "text", "b": None, "c": True}
    with pytest.raises(InvalidRequest):
        drive(store, variables={"a": "text"})
    with pytest.raises(NotFound):
        drive(store, variables={"none": 1})


# Bindings ----------------------------------------------------------------------------------------------------------
def change(store: Store, driven: Driven, live: bool = True, **changes: Any) -> int:
    """A new version of the session's program."""
    name = driven.session.record.program
    made = store.change_program(TENANT, name, ProgramChange(**(changes or {"lm": "mock"}))).value
    if live:
        store.promote_program(TENANT, name, made.version)
    return made.version


def versions(store: Store, driven: Driven) -> list[tuple[str, int]]:
    """Kind and version of each binding in the journal."""
    entries = [entry for entry in store.entries(driven.uid) if entry.kind in ("bind", "model")]
    return [(entry.kind, binding_of(entry).version) for entry in entries]


def test_a_pinned_session_stays_and_one_that_follows_goes_along(store: Store) -> None:
    """From the next turn on, with an entry that says so; and back when the older version is promoted again."""
    pinned, following = drive(store), drive(store, "follow")
    for driven in (pinned, following):
        driven.turn()
        change(store, driven, params={"history_window": 1})
        driven.turn()
        store.promote_program(TENANT, driven.session.record.program, 1)
        driven.turn()
    assert (versions(store, pinned), versions(store, following)) == ([], [("bind", 2), ("bind", 1)])
    assert store.load_session(following.uid).version == following.session.record.version == 1


def test_a_session_that_follows_when_idle_moves_when_it_wakes(store: Store) -> None:
    """Not in the middle of a conversation."""
    driven = drive(store, "follow_when_idle")
    driven.turn()
    change(store, driven)
    driven.turn()
    assert versions(store, driven) == []
    driven.wake()
    driven.turn()
    assert versions(store, driven) == [("bind", 2)]


def test_a_session_that_follows_when_idle_does_so_with_its_first_turn_whatever_woke_it(store: Store) -> None:
    """A variable that is set first is no turn; one that begins to follow in mid-conversation waits for its sleep."""
    driven = drive(store, "follow_when_idle")
    driven.turn()
    change(store, driven)
    driven.wake()
    put(driven, a=3)
    driven.turn()
    assert versions(store, driven) == [("bind", 2)]
    pinned = drive(store)
    pinned.turn()
    change(store, pinned)
    bind(pinned, version_policy="follow_when_idle")
    before = versions(store, pinned)
    pinned.turn()
    assert versions(store, pinned) == before


def test_a_wider_window_shows_turns_that_were_out_of_sight(store: Store) -> None:
    """And a narrower one hides them; as a takeover would see it."""
    driven = drive(store)
    for _ in range(5):
        driven.turn()
    wide = change(store, driven, params={"history_window": 5})
    bind(driven, program=f"{driven.session.record.program}@{wide}")
    state = driven.session.state
    assert [past.inputs["q"] for past in state.history] == [1, 2, 3, 4, 5]
    driven.wake()
    assert driven.session.state == state
    bind(driven, program=f"{driven.session.record.program}@1")
    assert [past.inputs["q"] for past in driven.session.state.history] == [3, 4, 5]


def test_values_that_a_version_does_not_allow_are_out_of_sight(store: Store) -> None:
    """The default is in their place; going back brings them back."""
    driven = drive(store)
    driven.turn(a=7)
    change(store, driven, variables={"a": Variable(type="int", range=(0, 5), default=1)})
    bind(driven, program=driven.session.record.program)
    assert driven.turn() == {"a": 1}
    bind(driven, program=f"{driven.session.record.program}@1")
    assert driven.turn() == {"a": 7, "b": None}


def test_an_entry_says_what_was_bound_and_the_row_agrees(store: Store) -> None:
    """A model alone is an entry of its own kind; a rewind leaves all of it as it is."""
    driven = drive(store)
    driven.turn()
    first = bind(driven, lm="mock")["seq"]
    bind(driven, if_match=first, on_busy="reject", version_policy="follow")
    with pytest.raises(PreconditionFailed):
        bind(driven, if_match=first, lm="other")
    driven.ask(rewind_request(0, None, 9.0))
    record = store.load_session(driven.uid)
    assert versions(store, driven) == [("model", 1), ("bind", 1)]
    assert (record.lm, record.on_busy, record.version_policy, record.changed) == ("mock", "reject", "follow", 3)
    assert Binding.of(record) == Binding.of(driven.session.record)


def test_a_session_stays_with_its_program(store: Store) -> None:
    """Another one's version is refused, and one that is not there; nothing is written."""
    driven, other = drive(store), make(store)
    with pytest.raises(InvalidRequest, match="stays with the program"):
        bind(driven, program=other.program)
    with pytest.raises(NotFound):
        bind(driven, program=f"{driven.session.record.program}@9")
    assert store.entries(driven.uid) == []


def test_a_version_that_is_gone_is_bound_by_nobody(store: Store) -> None:
    """Should it be deleted between the look and the commit: nothing is written at all."""
    driven = drive(store)
    driven.turn()
    bind(driven, lm="mock")
    entry = store.entries(driven.uid)[-1]
    gone = replace(Binding.of(driven.session.record), program_uid="none")
    late = replace(entry, seq=3, unit=driven.session.record.unit, epoch=1, turn_id="late", delta=_delta(gone))
    with pytest.raises(InUse):
        store.commit([late])
    assert store.load_session(driven.uid).seq == 2


def _delta(binding: Binding) -> bytes:
    return orjson.dumps({"binding": asdict(binding)})


def test_what_older_hosts_do_not_know_waits_until_they_are_gone(new_url: str) -> None:
    """Variables, and sessions that are bound anew: a host of before would lose the one and refuse the other."""
    with opened_at(new_url, "0003") as connection:
        connection.exec_driver_sql("DELETE FROM meta WHERE key = 'state_version_written'")
    plain = ProgramSpec(name="p", signature="q -> a")
    new = (plain.model_copy(update={"variables": DECLARED}), SessionSpec(program="p", version_policy="follow"), None)
    with closing(open_store(new_url)) as store:
        check_new(store, plain)
        check_new(store, SessionSpec(program="p", lm="x"))
        for made in new:
            with pytest.raises(StoreUnavailable, match="Hosts of an older program"):
                check_new(store, made)
        store.raise_state_version(STATE_VERSION)
        for made in new:
            check_new(store, made)


# Versions ----------------------------------------------------------------------------------------------------------
def test_a_new_version_is_not_live_before_it_is_promoted(store: Store) -> None:
    """New sessions get the live one; every version can be named."""
    driven = drive(store)
    name = driven.session.record.program
    assert change(store, driven, live=False, instructions="Be kind.") == 2
    assert (store.get_program(TENANT, name).version, store.get_program(TENANT, name).newest) == (1, 2)
    assert store.get_program(TENANT, name, 2).spec.instructions == "Be kind."
    store.promote_program(TENANT, name, 2)
    assert store.create_session(TENANT, SessionSpec(program=name)).value.version == 2
    assert store.create_session(TENANT, SessionSpec(program=f"{name}@1")).value.version == 1
    listed = store.program_versions(TENANT, name, Page())
    assert [(one.version, one.live) for one in listed.items] == [(2, True), (1, False)]
    assert [one.version for one in store.list_programs(TENANT, Page()).items if one.spec.name == name] == [2]


def test_a_program_that_was_changed_meanwhile_is_not_changed_again(store: Store) -> None:
    """By a new version or a promotion; null takes something away."""
    driven = drive(store)
    name = driven.session.record.program
    seen = store.get_program(TENANT, name).etag
    made = store.change_program(TENANT, name, ProgramChange(variables=None), seen).value
    assert (made.version, made.live, made.spec.variables) == (2, False, {})
    with pytest.raises(PreconditionFailed):
        store.change_program(TENANT, name, ProgramChange(lm="x"), seen)
    with pytest.raises(PreconditionFailed):
        store.promote_program(TENANT, name, 2, seen)
    with pytest.raises(NotFound):
        store.promote_program(TENANT, name, 3)
    with pytest.raises(NotFound):
        store.program_versions(TENANT, "none", Page())
