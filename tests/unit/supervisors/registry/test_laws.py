"""Laws of registries and groups: whatever is asked in whatever order, these hold."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from supervisors.entries import Add, Change, Died, Event, Holder, NodeLost, Open, Operation, Outcome, Remove
from supervisors.groups_core import Joined, group_event, members
from supervisors.registry_core import Directory
from tests.unit.supervisors.registry.clerk import add

BOOKS = ("unique", "duplicate")
lives = st.builds(Holder, st.sampled_from("abc"), st.integers(1, 3), st.sampled_from(["n1", "n2"]))
adds = st.builds(
    lambda book, key, who, id_: add(key, who, book=book, id_=f"{book}{id_}"),
    st.sampled_from(BOOKS),
    st.sampled_from("kl"),
    lives,
    st.integers(0, 30),
)
removes = st.builds(
    lambda book, id_: Remove(book, (f"{book}{id_}",)),
    st.sampled_from(BOOKS),
    st.integers(0, 30),
)
operations = st.one_of(adds, adds, adds, removes, st.builds(Died, lives), st.builds(NodeLost, st.just("n1")))
scripts = st.lists(operations, min_size=10, max_size=60)


def opened() -> Directory:
    """A directory with a book of each kind."""
    made = Directory()
    for book in BOOKS:
        made.perform(Open(book, book))  # type: ignore[arg-type]
    return made


def played(script: list[Operation]) -> tuple[Directory, list[Outcome]]:
    """After the script, and what came of each line."""
    made = opened()
    return made, [made.perform(operation) for operation in script]


@given(scripts)
def test_a_unique_key_never_has_two_holders(script: list[Operation]) -> None:
    """After no step."""
    made = opened()
    for operation in script:
        made.perform(operation)
        table = made.books["unique"]
        assert all(len(table.lookup(key)) == 1 for key in table.distinct_keys())


@given(scripts)
def test_an_entry_of_a_dead_process_is_never_found(script: list[Operation]) -> None:
    """Not by key, not by holder, and it does not come back."""
    made, dead = opened(), set()
    for operation in script:
        made.perform(operation)
        if isinstance(operation, Died):
            dead.add((operation.who.process, operation.who.epoch))
        for table in made.books.values():
            assert not dead & {(entry.who.process, entry.who.epoch) for entry in table.entries()}
            assert not dead & {(who.process, who.epoch) for who in table.holders()}


@given(scripts)
def test_a_lower_epoch_never_wins(script: list[Operation]) -> None:
    """Once a life was entered, no earlier one of its process holds anything, in any book."""
    made, highest = opened(), Counter[str]()
    for operation in script:
        outcome = made.perform(operation)
        if isinstance(operation, Add) and outcome.changes:
            highest[operation.entry.who.process] = max(highest[operation.entry.who.process], operation.entry.who.epoch)
        assert all(who.epoch >= highest[who.process] for who in made.holders())


@given(scripts)
def test_what_is_told_adds_up_to_what_is_there(script: list[Operation]) -> None:
    """Joins and leaves make the members, group by group."""
    made, outcomes = played(script)
    count = Counter[tuple[object, Holder]]()
    for event in (e for outcome in outcomes for e in outcome.events if e.book == "duplicate"):
        change = group_event(event)
        assert change is not None
        count[change.group, change.who] += 1 if isinstance(change, Joined) else -1
    for group in "kl":
        assert Counter(members(made.books["duplicate"], group)) == Counter(
            {who: times for (of, who), times in count.items() if of == group and times}
        )


@given(scripts, st.integers(0, 60))
def test_a_snapshot_and_the_changes_after_it_are_a_full_replay(script: list[Operation], at: int) -> None:
    """So a copy that joins late is like one that was there from the start."""
    early, late = played(script[:at])[0], opened()
    tail: list[Change] = []
    for number, operation in enumerate(script):
        changes = late.perform(operation).changes
        tail += changes if number >= at else []
    copy = Directory(early.snapshot())
    for change in tail:
        copy.apply(change)
    assert copy.snapshot() == late.snapshot()


@given(scripts)
def test_the_indexes_agree(script: list[Operation]) -> None:
    """By key, by holder, by id and in number, it is the same entries."""
    made, _ = played(script)
    for table in made.books.values():
        everything = set(table.entries())
        assert {entry for key in table.distinct_keys() for entry in table.lookup(key)} == everything
        assert {entry for who in table.holders() for entry in table.of(who)} == everything
        assert len(table) == len(everything)
    assert made.holders() == {who for table in made.books.values() for who in table.holders()}


@given(scripts)
def test_the_same_operations_give_the_same_outcomes(script: list[Operation]) -> None:
    """No clock, no chance."""
    assert played(script)[1] == played(script)[1]


@given(scripts)
def test_an_operation_that_is_refused_tells_of_nothing_it_did_not_do(script: list[Operation]) -> None:
    """Each event has its change, and each change of an entry its event."""
    for outcome in played(script)[1]:
        told: list[Event] = outcome.events
        assert len(told) == sum(hasattr(change, "id") or hasattr(change, "entry") for change in outcome.changes)
