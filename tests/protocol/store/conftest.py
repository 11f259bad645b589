"""One contract, every adapter: a test that takes `store` or `url` runs over each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dspex_actors.clock import ManualClock
from dspex_actors.store import SqlStore, Store, open_store
from tests.support.postgres import PostgresServer, postgres_server


@pytest.fixture
def clock() -> ManualClock:
    """The time of the stores under test."""
    return ManualClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: PostgresServer) -> str:
    """The name of a database with the schema, to be copied."""
    name = postgres.create_database()
    open_store(postgres.url_of(name)).close()
    return name


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a store in a file."""
    return f"sqlite:///{tmp_path / 'home' / 'dspex.sqlite3'}"


@pytest.fixture
def empty_postgres_url(postgres: PostgresServer) -> str:
    """The address of a database without a schema."""
    return postgres.url_of(postgres.create_database())


@pytest.fixture
def postgres_url(postgres: PostgresServer, template: str) -> str:
    """The address of an empty store in PostgreSQL."""
    return postgres.url_of(postgres.create_database(template))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a store that several connections can open."""
    found: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest) -> str:
    """The address of a store that is not there yet."""
    found: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "empty_postgres_url")
    return found


@pytest.fixture
def fresh_url(new_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Another one of the same kind."""
    if new_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'fresh'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url_of(server.create_database())


@pytest.fixture(params=["sqlite-file", "sqlite-memory", "postgresql"])
def store(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[Store]:
    """An empty store."""
    address = {"sqlite-file": "sqlite_url", "postgresql": "postgres_url"}.get(request.param)
    opened = open_store(request.getfixturevalue(address) if address else "sqlite://", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def shared_store(url: str, clock: ManualClock) -> Iterator[SqlStore]:
    """An empty store, for what only several connections show."""
    opened = open_store(url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(sqlite_url: str, clock: ManualClock) -> Iterator[SqlStore]:
    """An empty store in a file."""
    opened = open_store(sqlite_url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def postgres_store(postgres_url: str, clock: ManualClock) -> Iterator[SqlStore]:
    """An empty store in PostgreSQL."""
    opened = open_store(postgres_url, clock=clock)
    yield opened
    opened.close()
