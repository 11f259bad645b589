"""The SQL of the fence, for each kind of database."""

from __future__ import annotations

from sqlalchemy import make_url

from dspex_actors.store.driver import text_of
from dspex_actors.store.fence import _advance, _lease_check

POSTGRESQL, SQLITE = make_url("postgresql://").get_dialect()(), make_url("sqlite://").get_dialect()()


def test_the_lease_check_locks_rows_where_a_database_has_row_locks() -> None:
    """In key order; SQLite's write lock covers all."""
    assert text_of(_lease_check(2), POSTGRESQL).endswith("ORDER BY lease.unit FOR SHARE")
    assert text_of(_lease_check(2), SQLITE).endswith("IN (VALUES (?, ?), (?, ?)) ORDER BY lease.unit")


def test_a_session_advances_by_one_under_its_own_unit_alone() -> None:
    """The whole condition, and parameters in the order of the rows only."""
    text = text_of(_advance(2), SQLITE)
    assert "WHERE session.uid = v.x AND session.seq = v.n - 1 AND session.unit = v.u RETURNING" in text
    assert text.count("?") == 8
