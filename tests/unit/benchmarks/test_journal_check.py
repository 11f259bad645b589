"""What the failover benchmark counts as a broken promise."""

from __future__ import annotations

import pytest

from benchmarks.journal_check import JournalCheck, Turns, check_journal
from benchmarks.load import Record


def told(turn: int, turn_id: str, status: int = 200) -> Record:
    """An answer that a client got."""
    body = f'{{"session": "s", "turn": {turn}, "turn_id": "{turn_id}"}}'.encode()
    return Record(0.0, 0.0, 1.0, status, body)


def test_an_unacknowledged_turn_in_the_journal_is_fine() -> None:
    """Its outcome was unknown: it happened whole."""
    check = check_journal([told(1, "a"), told(0, "b", status=0)], lambda _: [(1, "a"), (2, "b")])
    assert check == JournalCheck(1, 0, 0, 0, 0)
    assert check.kept


@pytest.mark.parametrize(
    ("held", "found"),
    [
        ([(1, "a")], JournalCheck(2, 1, 0, 0, 0)),
        ([(1, "a"), (2, "b"), (3, "b")], JournalCheck(2, 0, 1, 1, 0)),
        ([(1, "b"), (2, "a")], JournalCheck(2, 0, 0, 2, 0)),
        ([(1, "a"), (2, "b"), (4, "c")], JournalCheck(2, 0, 0, 0, 1)),
        ([(2, "b"), (1, "a")], JournalCheck(2, 0, 0, 0, 1)),
    ],
    ids=["lost", "repeated", "renumbered", "gap", "out of order"],
)
def test_each_way_to_break_the_promise_is_counted(held: Turns, found: JournalCheck) -> None:
    """Lost, repeated, renumbered, or numbers that are not 1, 2, 3 in order."""
    check = check_journal([told(1, "a"), told(2, "b")], lambda _: held)
    assert check == found
    assert not check.kept
