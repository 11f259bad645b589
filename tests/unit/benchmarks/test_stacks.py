"""Profiles summed up."""

from __future__ import annotations

from benchmarks.stacks import shares


def test_own_time_belongs_to_the_leaf_of_each_stack_and_the_rest_to_all_its_frames() -> None:
    """Collapsed stacks as py-spy writes them, spaces in names included; recursion counts once."""
    lines = ["main (a.py);run (b.py);parse (c.py) 6", "main (a.py);parse (c.py);parse (c.py) 2", "main (a.py) 2"]
    assert shares(lines, top=2) == [("parse (c.py)", 0.8, 0.8), ("main (a.py)", 0.2, 1.0)]
