"""Any number of processes under a key, each as often as it registers."""

from __future__ import annotations

from supervisors.entries import Died
from supervisors.errors import StaleEpoch
from tests.unit.supervisors.registry.clerk import add, directory, holders, life


def test_processes_share_a_key_oldest_first() -> None:
    """Each with its own value."""
    names = directory("duplicate", add("k", life("a"), 1), add("k", life("b"), 2))
    assert [(e.who.process, e.value) for e in names.books["names"].lookup("k")] == [("a", 1), ("b", 2)]


def test_one_process_may_register_twice_under_a_key() -> None:
    """Both are there, and both go with it."""
    names = directory("duplicate", add("k", life(), 1), add("k", life(), 2))
    assert len(names.books["names"]) == 2
    assert names.perform(Died(life())).answer == 2


def test_only_the_dead_leave_a_shared_key() -> None:
    """The others stay."""
    names = directory("duplicate", add("k", life("a")), add("k", life("b")), Died(life("a")))
    assert holders(names, "k") == [life("b")]


def test_epochs_count_here_too() -> None:
    """A later life replaces the earlier one under every key."""
    names = directory("duplicate", add("k", life("a", 1)), add("l", life("a", 1)), add("l", life("a", 2)))
    assert holders(names, "k") == []
    assert holders(names, "l") == [life("a", 2)]
    assert names.perform(add("k", life("a", 1))).answer == StaleEpoch("a", 1, 2)
