"""A unique key has one holder; epochs decide which life of a process may hold it."""

from __future__ import annotations

import pytest

from supervisors.entries import Died, Fence, NodeLost, Open, Put, Registered, Remove, SetMeta, Unregistered, Update
from supervisors.errors import AlreadyRegistered, BadSpec, NotRegistered, StaleEpoch
from supervisors.registry_core import Directory, begins
from tests.unit.supervisors.registry.clerk import add, directory, holders, life


def test_a_key_that_is_held_is_refused_with_its_holder() -> None:
    """Nothing changes."""
    names = directory("unique", add("k", life("a")))
    outcome = names.perform(add("k", life("b")))
    assert outcome.answer == AlreadyRegistered("k", life("a"))
    assert holders(names, "k") == [life("a")]


def test_the_holder_itself_is_refused_too() -> None:
    """As in Elixir: it is to update the value."""
    names = directory("unique", add("k", life("a")))
    assert names.perform(add("k", life("a"))).answer == AlreadyRegistered("k", life("a"))


def test_the_same_entry_said_twice_is_entered_once() -> None:
    """So a caller may repeat itself after a crash of the keeper."""
    names = directory("unique")
    first = names.perform(add("k", life(), id_="once"))
    again = names.perform(add("k", life(), id_="once"))
    assert again.answer == first.answer
    assert again.changes == []


def test_one_process_may_hold_many_keys() -> None:
    """Each is found by itself, and all of them by the process."""
    names = directory("unique", add("k", life()), add("l", life()))
    assert [entry.key for entry in names.books["names"].of(life())] == ["k", "l"]


def test_the_death_of_a_process_takes_all_its_entries_in_one_step() -> None:
    """In every book; who is told of one of them finds none of the others."""
    names = directory("unique", add("k", life("a")), add("l", life("a")), add("m", life("b")))
    outcome = names.perform(Died(life("a")))
    assert outcome.answer == 2
    assert outcome.events == [Unregistered("names", event.entry) for event in outcome.events]
    assert len(names.books["names"]) == 1


def test_a_life_that_is_over_may_not_register() -> None:
    """Not even under a key that nobody holds; the next life may."""
    names = directory("unique", add("k", life("a", 1)), Died(life("a", 1)))
    assert names.perform(add("z", life("a", 1))).answer == StaleEpoch("a", 1, 2)
    assert names.perform(add("z", life("a", 2))).events[0].entry.who == life("a", 2)


def test_a_later_life_takes_over_what_it_registers_and_the_earlier_one_loses_everything() -> None:
    """Before anybody has noticed that the earlier one is over."""
    names = directory("unique", add("k", life("a", 1)), add("l", life("a", 1)))
    outcome = names.perform(add("k", life("a", 2)))
    assert [type(event) for event in outcome.events] == [Unregistered, Unregistered, Registered]
    assert holders(names, "k") == [life("a", 2)]
    assert holders(names, "l") == []


def test_a_stale_twin_cannot_take_a_name_back() -> None:
    """Its epoch is refused, whoever holds the name now."""
    names = directory("unique", add("k", life("a", 1)), add("k", life("a", 2)), Died(life("a", 2)))
    assert names.perform(add("k", life("a", 1))).answer == StaleEpoch("a", 1, 3)
    assert holders(names, "k") == []


def test_the_late_death_of_a_stale_twin_does_not_touch_its_successor() -> None:
    """Deaths are of lives, not of names."""
    names = directory("unique", add("k", life("a", 1)), add("k", life("a", 2)))
    assert names.perform(Died(life("a", 1))).changes == []
    assert holders(names, "k") == [life("a", 2)]


def test_the_death_of_a_later_life_takes_the_entries_of_a_stale_twin_too() -> None:
    """Even if the later one held nothing."""
    names = directory("unique", add("k", life("a", 1)))
    assert names.perform(Died(life("a", 2))).answer == 1
    assert (holders(names, "k"), names.floor("a")) == ([], 3)


def test_the_entries_of_a_lost_node_go() -> None:
    """And their lives are over, even if the node comes back."""
    names = directory("unique", add("k", life("a", 1, "n1")), add("l", life("b", 1, "n2")))
    assert names.perform(NodeLost("n1")).answer == 1
    assert holders(names, "l") == [life("b", 1, "n2")]
    assert names.perform(add("k", life("a", 1, "n1"))).answer == StaleEpoch("a", 1, 2)


def test_a_value_can_be_updated_and_its_entry_stays() -> None:
    """Those who listen get the old one too."""
    names = directory("unique", add("k", life(), 1, id_="e"))
    outcome = names.perform(Update("names", "e", 2))
    assert outcome.events[0].old == 1  # type: ignore[union-attr]
    assert names.books["names"].lookup("k")[0].value == 2
    assert names.perform(Update("names", "gone", 3)).answer == NotRegistered("gone")


def test_removing_answers_how_many_entries_went() -> None:
    """What is not there is no error."""
    names = directory("unique", add("k", life(), id_="e"))
    assert names.perform(Remove("names", ("e", "e", "never"))).answer == 1
    assert names.perform(Remove("names", ("e",))).answer == 0
    assert names.books["names"].distinct_keys() == ()


@pytest.mark.parametrize(
    ("prefix", "found"), [("user/", ["user/1", "user/2"]), (("u",), [("u", 1)]), (None, 4), ("nobody", [])]
)
def test_entries_are_selected_by_the_beginning_of_their_keys(prefix: str, found: list[str] | int) -> None:
    """Of texts and of tuples; a key of another type does not begin so."""
    names = directory("unique", *(add(key, life(), key) for key in ("user/1", "user/2", ("u", 1), 7)))
    selected = [entry.key for entry in names.books["names"].select(prefix=prefix)]
    assert selected == found or len(selected) == found
    assert not begins(7, "7")


def test_entries_are_selected_by_a_predicate() -> None:
    """On key, value and holder."""
    names = directory("unique", *(add(key, life(), key) for key in range(5)))
    assert [e.key for e in names.books["names"].select(where=lambda e: e.value > 2)] == [3, 4]


def test_a_book_has_keys_of_one_kind_and_must_be_opened() -> None:
    """Opening it again changes nothing; another kind is refused."""
    names = directory("unique")
    assert names.perform(Open("names", "unique")) == (None, [], [])
    assert isinstance(names.perform(Open("names", "duplicate")).answer, BadSpec)
    assert isinstance(names.perform(add("k", life(), book="none")).answer, BadSpec)


def test_something_may_be_said_of_the_book_itself() -> None:
    """Elixir's `put_meta`."""
    names = directory("unique", SetMeta("names", "colour", "red"))
    assert names.books["names"].meta == {"colour": "red"}


def test_fences_of_processes_that_hold_nothing_are_forgotten_in_the_end() -> None:
    """The newest stay, and those of holders always do."""
    names = Directory(fences=10)
    names.perform(Open("names", "duplicate"))
    names.perform(add("k", life("held", 5)))
    for number in range(100):
        names.perform(add("k", life(f"p{number}")))
        names.perform(Died(life(f"p{number}")))
    assert sum(isinstance(change, Fence) for change in names.snapshot()) <= 12
    assert [names.floor("held"), names.floor("p99"), names.floor("p0")] == [5, 2, 0]


def test_a_snapshot_makes_the_same_directory() -> None:
    """Fences, meta and entries, in the same order."""
    names = directory("duplicate", add("k", life("b"), 1), SetMeta("names", "m", 1), add("k", life("a"), 2))
    names.perform(Died(life("b")))
    copy = Directory(names.snapshot())
    assert copy.snapshot() == names.snapshot()
    assert [type(change) for change in copy.snapshot()].count(Put) == 1
    assert copy.holders() == {life("a")}
