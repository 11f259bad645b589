"""Keyset pagination: a cursor says where a page ended, so that no row is skipped or repeated while others come."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson
from sqlalchemy import Row, Select, Table, tuple_

from dspex_actors.errors import InvalidRequest
from dspex_actors.store.port import Listing, Page

T = TypeVar("T")
MAX_LIMIT = 10_000
_MAX_INTEGER = 2**63 - 1


def check_limit(page: Page) -> None:
    """Raises InvalidRequest for a limit that is no count of a page."""
    if not 1 <= page.limit <= MAX_LIMIT:
        raise _invalid("limit", f"limit takes 1 to {MAX_LIMIT}")


def by_creation(rows: Select[Any], table: Table, page: Page) -> Select[Any]:
    """The rows of a page, one more than its limit, sorted by `created_at_us`, then `uid`.

    Raises:
        InvalidRequest: A limit or cursor that no list gave out.
    """
    check_limit(page)
    created, uid = table.c.created_at_us, table.c.uid
    if page.cursor is not None:
        position, here = tuple_(created, uid), tuple_(*_decode(page.cursor))
        rows = rows.where(position < here if page.descending else position > here)
    order = (created.desc(), uid.desc()) if page.descending else (created, uid)
    return rows.order_by(*order).limit(page.limit + 1)


def listing(rows: Sequence[Row[Any]], page: Page, build: Callable[[Row[Any]], T]) -> Listing[T]:
    """The page made of what `by_creation` found."""
    shown = rows[: page.limit]
    more = len(rows) > page.limit
    return Listing([build(row) for row in shown], _encode(shown[-1]) if more else None)


def after_turn(page: Page) -> int:
    """The turn number that a page of turns begins after.

    Raises:
        InvalidRequest: The cursor is not a number that a list gave out.
    """
    check_limit(page)
    if page.cursor is None:
        return 0
    if not (page.cursor.isascii() and page.cursor.isdigit() and len(page.cursor) <= 18):
        raise _bad_cursor()
    return int(page.cursor)


def _encode(row: Row[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([row.created_at_us, row.uid])).decode().rstrip("=")


def _decode(cursor: str) -> tuple[int, str]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        position = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeEncodeError, binascii.Error, orjson.JSONDecodeError):
        raise _bad_cursor() from None
    match position:
        case [int(created), str(uid)] if abs(created) <= _MAX_INTEGER:
            return created, uid
    raise _bad_cursor()


def _bad_cursor() -> InvalidRequest:
    return _invalid("cursor", "cursor takes the next_cursor of an earlier page of the same list")


def _invalid(where: str, msg: str) -> InvalidRequest:
    return InvalidRequest(msg + ".", errors=[{"loc": [where], "msg": msg, "type": where}])
