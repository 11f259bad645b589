"""A PostgreSQL server of a chaos run's own: durable, on loopback, without TLS, gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.chaos_store import PostgresStore
from tests.support.postgres import ADMIN, postgres_server


@contextmanager
def own_postgres() -> Iterator[str]:
    """The address of an empty database, for the server's administrator.

    Raises:
        ValueError: PostgreSQL is not installed here.
    """
    try:
        with postgres_server(durable=True) as server:
            url = server.url_of(server.create_database(), ADMIN)
            try:
                yield url
            finally:
                PostgresStore(url).stop()
    except pytest.skip.Exception as missing:
        raise ValueError(f"--postgres needs PostgreSQL's server: {missing}") from None
