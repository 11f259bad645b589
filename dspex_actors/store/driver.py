"""Statements sent to the driver as text: for hot paths, where SQLAlchemy's bookkeeping costs more than the database.

The SQL is still written in Core and compiled for the dialect; only running it goes around SQLAlchemy. It takes part in
the connection's transaction, and raises the driver's own errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Connection, Dialect, Table, bindparam, cast, func, insert, select
from sqlalchemy.sql.expression import ClauseElement

_TEXTS: dict[tuple[int, str], str] = {}


def text_of(statement: ClauseElement, dialect: Dialect) -> str:
    """The statement as the driver takes it, its parameters positional in the order of writing."""
    return str(statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True}))


def cached_text_of(statement: ClauseElement, connection: Connection) -> str:
    """The same, built once; for the statements of a module, which live as long as it does."""
    key = (id(statement), connection.dialect.name)
    if key not in _TEXTS:
        _TEXTS[key] = text_of(statement, connection.dialect)
    return _TEXTS[key]


def run(connection: Connection, text: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
    """Run it once; all rows, each typed as the statement says."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(text, tuple(parameters))
        return list(cursor.fetchall()) if cursor.description else []
    finally:
        cursor.close()


def insert_text_of(table: Table, dialect: Dialect) -> str:
    """An insert of whole rows, for `insert_rows`."""
    if dialect.name != "postgresql":
        return text_of(insert(table), dialect)
    names = [each.name for each in table.c]
    columns = [cast(bindparam(each.name, type_=ARRAY(each.type)), ARRAY(each.type)) for each in table.c]
    rows = func.unnest(*columns).table_valued(*names, name="v").render_derived()
    text = text_of(insert(table).from_select(names, select(*rows.c)), dialect)
    return text.replace(
        "%s::BYTEA[]", "%b::BYTEA[]"
    )  # in psycopg's words: not escaped as text, which takes as long again


def insert_rows(connection: Connection, text: str, rows: Sequence[Sequence[object]]) -> None:
    """Insert rows, each in the order of the table's columns; `text` is of `insert_text_of`.

    PostgreSQL gets them as one statement: psycopg's `executemany` ends with a message after which the server's clock
    for idle transactions stands still (seen on 15), and a host that froze before COMMIT would keep its locks.
    """
    if connection.dialect.name == "postgresql":
        run(connection, text, [list(column) for column in zip(*rows, strict=True)])
    else:
        run_many(connection, text, rows)


def run_many(connection: Connection, text: str, rows: Sequence[Sequence[object]]) -> None:
    """Run it for each row of parameters. Not for PostgreSQL: see `insert_rows`."""
    cursor = connection.connection.cursor()
    try:
        cursor.executemany(text, rows)
    finally:
        cursor.close()
