"""Laws of the documentation: it names what exists, its links lead somewhere, its Python compiles."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import dspex_actors as dx
from dspex_actors.api.routes import ROUTES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "examples/own_module_http/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
ROUTE = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/[^\s`?]*)`")
ROUTE_ROW = re.compile(r"^\| `([A-Z]+) (\S+)` \| (\w+) \|", re.MULTILINE)
OWN: dict[str, str | dict[str, Any]] = {
    "desk": {"module": "python:support_desk.desk:Desk", "params": {"always_file": True}},
    "search": {"module": "python:support_desk.search:Search"},
}


def name_of(page: Path) -> str:
    """The page as the tests call it."""
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """The text without its code blocks."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What a link into the page may name: its headings, as they are shown on the web."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_broken(page: Path, link: str) -> bool:
    """Whether a relative link leads nowhere."""
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return not target.exists() or (anchor != "" and anchor not in anchors(target))


def test_the_http_page_has_every_route_with_its_scope_and_nothing_else() -> None:
    """The table on the page and the table that requests are routed by agree."""
    routed = {(route.method, route.path): "none" if route.public else route.scope for route in ROUTES}
    rows = ROUTE_ROW.findall((ROOT / "docs/reference/http.md").read_text())
    assert {(method, path): scope for method, path, scope in rows} == routed


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_route_that_a_page_names_exists(page: Path) -> None:
    """A call that nobody answers helps nobody."""
    known = {(route.method, route.path) for route in ROUTES}
    assert set(ROUTE.findall(page.read_text())) - known == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    """Links are checked where they can be: inside the repository."""
    links = [link for link in LINK.findall(prose(page)) if "://" not in link]
    assert [link for link in links if is_broken(page, link)] == []


@pytest.mark.parametrize("link", ["nowhere.md", "#no-such-heading"])
def test_a_broken_link_is_recognised(link: str) -> None:
    """A law that cannot be broken guards nothing."""
    assert is_broken(ROOT / "README.md", link)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_python_of_a_page_compiles(page: Path) -> None:
    """Also where it awaits outside a function, as a notebook does."""
    for language, code in FENCE.findall(page.read_text()):
        if language == "python":
            compile(code, name_of(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_index_of_the_documentation_has_every_page() -> None:
    """A page that nothing leads to is not read."""
    index = ROOT / "docs/README.md"
    linked = {(index.parent / link).resolve() for link in LINK.findall(index.read_text())}
    assert set((ROOT / "docs").rglob("*.md")) - linked == {index}


def test_the_own_modules_of_the_example_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The asynchronous one is shown the conversation and uses its tool; the synchronous one looks up its pages."""
    monkeypatch.syspath_prepend(str(ROOT / "examples/own_module_http"))
    from support_desk import tickets  # type: ignore[import-not-found]

    monkeypatch.setattr(tickets, "FOLDER", tmp_path / "tickets")

    async def ask() -> None:
        async with dx.local(programs=OWN, packages=("support_desk",)) as runtime:
            desk, search = await runtime.open("desk"), await runtime.open("search")
            await desk.predict(question="Help!")
            again = await desk.predict(question="Still there?", idempotency_key="second")
            assert "earlier turns shown: 1" in again.outputs.answer
            assert (tmp_path / "tickets" / "second").read_text() == "Still there?"
            assert (await search.predict(question="password?", limit=1)).outputs.passages

    asyncio.run(ask())
