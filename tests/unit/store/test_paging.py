"""Cursors: what a list gave out comes back as the place where it ended."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.dialects import sqlite

from dspex_actors.errors import InvalidRequest
from dspex_actors.store.paging import after_turn, by_creation
from dspex_actors.store.port import Page
from dspex_actors.store.schema import session


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_invalid(cursor: str) -> None:
    """Nothing else is ever raised, whatever a client sends."""
    for read in (lambda page: by_creation(select(session), session, page), after_turn):
        with suppress(InvalidRequest):
            read(Page(cursor=cursor))


@pytest.mark.parametrize(("descending", "sign"), [(True, "<"), (False, ">")])
def test_a_cursor_is_compared_in_the_direction_of_the_list(descending: bool, sign: str) -> None:
    """As one pair, so that rows of the same microsecond are told apart."""
    page = Page(cursor="WzUsImIiXQ", descending=descending)
    text = str(by_creation(select(session.c.id), session, page).compile(dialect=sqlite.dialect()))
    assert f"(session.created_at_us, session.uid) {sign} (?, ?)" in text


def test_turns_begin_at_the_first_without_a_cursor() -> None:
    """And after the cursor's number with one."""
    assert (after_turn(Page()), after_turn(Page(cursor="12"))) == (0, 12)
