"""The reference's examples run as they are."""

from __future__ import annotations

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[4] / "docs/reference/supervisors.md"


def test_the_examples_of_the_reference_page_run() -> None:
    """And print what the page says."""

    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted > 10
    assert found.failed == 0
