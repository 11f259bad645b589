"""Rows of API keys."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from dspex_actors.errors import AlreadyExists
from dspex_actors.resources.key import ApiKey
from dspex_actors.store.locks import hold
from dspex_actors.store.schema import api_key


def put(connection: Connection, key: ApiKey) -> None:
    """Insert or replace by `id`. Raises AlreadyExists where another id has the same secret."""
    hold(connection, "api_key", key.id)
    connection.execute(delete(api_key).where(api_key.c.id == key.id))
    try:
        connection.execute(insert(api_key).values(asdict(key)))
    except IntegrityError as fault:
        raise AlreadyExists(f"The secret of key {key.id!r} belongs to another key; generate a new one.") from fault


def add(connection: Connection, key: ApiKey) -> bool:
    """Insert unless there is one of its `id`. Raises AlreadyExists as above."""
    hold(connection, "api_key", key.id)
    if has(connection, key.id):
        return False
    put(connection, key)
    return True


def has(connection: Connection, key_id: str) -> bool:
    """Whether there is one of that id."""
    return connection.execute(select(api_key.c.id).where(api_key.c.id == key_id)).first() is not None


def find(connection: Connection, sha256: str) -> ApiKey | None:
    """By hash."""
    row = connection.execute(select(api_key).where(api_key.c.sha256 == sha256)).mappings().first()
    return None if row is None else ApiKey(**{**row, "scopes": tuple(row["scopes"])})
