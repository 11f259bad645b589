"""What commands print: documents and tables on standard output, sentences about failures on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import orjson
import typer

from dspex_actors.errors import DspexError

FAILED = 1
PIPED_WIDTH = 200
_KEPT = {"\n", "\t"}


def safe(text: str) -> str:
    """The text without characters that could steer a terminal: it may come from a model."""
    return "".join(char if char.isprintable() or char in _KEPT else "\N{REPLACEMENT CHARACTER}" for char in text)


def plain(value: object) -> str:
    """A value as a person reads it: text as it is, None as nothing, anything else as JSON."""
    if value is None:
        return ""
    return safe(value if isinstance(value, str) else orjson.dumps(value, default=str).decode())


def say(text: str, *, end: str = "\n", err: bool = False) -> None:
    """A line, or a piece of one, at once."""
    print(safe(text), end=end, file=sys.stderr if err else sys.stdout, flush=True)


def document(value: object) -> None:
    """One JSON document."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def table(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> None:
    """A table of some members of each row; a sentence when there are no rows."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        shown.add_row(*(plain(row.get(column)) for column in columns))
    if not shown.row_count:
        say("There are none.")
        return
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    Console(markup=False, highlight=False, emoji=False, width=width).print(shown)


def record(fields: Mapping[str, object]) -> None:
    """One `name  value` line for each field."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        say(f"{name:<{width}}  {plain(value)}".rstrip())


@contextmanager
def reporting(as_json: bool) -> Iterator[None]:
    """Turn an error into a sentence on standard error and exit 1; with `--json` the problem is the document."""
    try:
        yield
    except DspexError as error:
        if as_json:
            document(error.problem())
        print(safe(error.detail), file=sys.stderr)
        raise typer.Exit(FAILED) from None
