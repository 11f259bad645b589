"""Queries and pages."""

from __future__ import annotations

import pytest

from dspex_actors.api.listing import SORTED, include_failed, page_of, parse_query
from dspex_actors.errors import InvalidRequest
from dspex_actors.store.port import Page


def test_a_query_gives_the_page_that_it_asks_for() -> None:
    """Percent-encoding is undone."""
    query = parse_query(b"limit=200&cursor=a%2Bb&sort=created_at", SORTED)
    assert page_of(query) == Page(200, "a+b", descending=False)


def test_no_query_gives_the_first_fifty_newest_first() -> None:
    """The default of every list but the turns."""
    assert page_of(parse_query(b"", SORTED)) == Page(50, None, descending=True)


@pytest.mark.parametrize(
    ("query", "loc", "named"),
    [
        (b"limit=0", "limit", "1 to 200"),
        (b"limit=201", "limit", "1 to 200"),
        (b"limit=x", "limit", "1 to 200"),
        (b"limit=", "limit", "1 to 200"),
        (b"limit=%C2%B2", "limit", "1 to 200"),
        (b"cursor=", "cursor", "next_cursor"),
        (b"cursor=%00", "cursor", "next_cursor"),
        (b"sort=name", "sort", "created_at or -created_at"),
        (b"filter[x]=1", "filter[x]", "limit, cursor, sort"),
        (b"limit=1&limit=2", "limit", "twice"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_is_accepted(query: bytes, loc: str, named: str) -> None:
    """The sentence says what to write instead."""
    with pytest.raises(InvalidRequest) as refused:
        page_of(parse_query(query, SORTED))
    assert refused.value.errors[0]["loc"] == [loc]
    assert named in refused.value.detail


def test_only_failed_turns_can_be_included() -> None:
    """Anything else is a mistake."""
    assert include_failed({"include": "failed"})
    assert not include_failed({})
    with pytest.raises(InvalidRequest):
        include_failed({"include": "all"})
