"""Profiles summed up."""

from __future__ import annotations

from benchmarks.stacks import own_time


def test_own_time_belongs_to_the_leaf_of_each_stack() -> None:
    """Collapsed stacks as py-spy writes them, spaces in names included."""
    lines = ["main (a.py);run (b.py);parse (c.py) 6", "main (a.py);parse (c.py) 2", "main (a.py) 2"]
    assert own_time(lines, top=1) == [("parse (c.py)", 0.8)]
