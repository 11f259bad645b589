"""The conformance page names tests that exist, and counts its own rows."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/reference/otp-conformance.md").read_text()
FOLDERS = {"laws/": "tests/support/supervision", "cluster/": "tests/cluster/supervisors", "": "tests/unit/supervisors"}
REFERENCE = re.compile(r"`([\w/]+\.py)::(\w+)`")
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
Counts = tuple[int, int, int, int]


@cache
def functions(file: Path) -> frozenset[str]:
    """Those at the top of a file; none if it is not there."""
    if not file.exists():
        return frozenset()
    tree = ast.parse(file.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def exists(path: str, name: str) -> bool:
    """Whether a reference of the page leads to a test or a law."""
    start = next(start for start in FOLDERS if path.startswith(start))
    return name in functions(ROOT / FOLDERS[start] / path.removeprefix(start))


def cases(section: str) -> list[str]:
    """What the rows of a section say of us."""
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [row[2] for row in rows if row != ["Case", "What it checks", "Here"]]


def counts(heres: list[str]) -> Counts:
    """All, the same, differs, does not apply."""
    words = Counter(here.split(":")[0] if here.startswith(("differs: ", "does not apply: ")) else "" for here in heres)
    return len(heres), words[""], words["differs"], words["does not apply"]


def test_every_test_that_the_page_names_exists() -> None:
    """So a test cannot be renamed or removed without it."""
    named = REFERENCE.findall(PAGE)
    assert len(named) > 300
    assert [reference for reference in named if not exists(*reference)] == []


def test_a_name_that_does_not_exist_is_recognised() -> None:
    """In a file that exists and in one that does not."""
    assert not exists("test_conformance.py", "test_nothing")
    assert not exists("laws/nothing.py", "nothing")


def test_every_case_names_a_test_or_says_why_not() -> None:
    """A row without either says nothing."""
    heres = [here for _, section in SECTION.findall(PAGE) for here in cases(section)]
    assert [here for here in heres if not REFERENCE.search(here) and not here.startswith("does not apply: ")] == []


def test_the_page_counts_its_rows() -> None:
    """In the table at its top, suite by suite and all together."""
    sections = {title: cases(section) for title, section in SECTION.findall(PAGE)}
    expected = {title: counts(heres) for title, heres in sections.items()}
    expected["All"] = counts([here for heres in sections.values() for here in heres])
    rows = re.findall(r"^\| (?:\[(.+)\]\(#.+\)|(All)) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert {title or all_: tuple(map(int, numbers)) for title, all_, *numbers in rows} == expected
