"""Query strings and pages of lists."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

from dspex_actors.api.asgi import Response, json_response
from dspex_actors.api.body import invalid
from dspex_actors.store.port import Page

MAX_LIMIT = 200
MAX_CURSOR = 256
PAGE = ("limit", "cursor")
SORTED = (*PAGE, "sort")
SORTS = {"created_at": False, "-created_at": True}


def parse_query(query_string: bytes, accepted: tuple[str, ...]) -> dict[str, str]:
    """The query's parameters. Raises InvalidRequest for an unknown one, naming those accepted, or one given twice."""
    if not query_string:
        return {}
    values: dict[str, str] = {}
    for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
        if name not in accepted:
            takes = f"takes {', '.join(accepted)}" if accepted else "takes no parameters"
            invalid(name[:100], f"The query {takes}", "unknown_parameter")
        if name in values:
            invalid(name, f"The query gives {name} twice", "duplicate_parameter")
        values[name] = value
    return values


def page_of(query: dict[str, str], *, descending: bool = True) -> Page:
    """The page that a query asks for. Raises InvalidRequest naming what is accepted."""
    sort = query.get("sort")
    if sort is not None:
        if sort not in SORTS:
            invalid("sort", f"sort takes {' or '.join(SORTS)}", "sort")
        descending = SORTS[sort]
    return Page(_limit(query.get("limit", "50")), _cursor(query.get("cursor")), descending)


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT):
        invalid("limit", f"limit takes a whole number from 1 to {MAX_LIMIT}", "limit")
    return int(text)


def _cursor(text: str | None) -> str | None:
    if text is not None and not (0 < len(text) <= MAX_CURSOR and text.isascii() and text.isprintable()):
        invalid("cursor", "cursor takes what next_cursor of the page before said", "cursor")
    return text


def include_failed(query: dict[str, str]) -> bool:
    """Whether failed turns are asked for. Raises InvalidRequest for anything else to include."""
    include = query.get("include")
    if include not in (None, "failed"):
        invalid("include", "include takes failed", "include")
    return include == "failed"


def page_response(items: Iterable[object], next_cursor: str | None, **more: object) -> Response:
    """A page as every list shows it, and what this one shows beside that."""
    return json_response({"items": list(items), "next_cursor": next_cursor, **more})
