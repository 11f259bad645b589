"""The store's password, a secret wherever it was written; the ports of hosts."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from dspex_actors.config import Settings, without_password
from dspex_actors.store.database import parse_url


@pytest.mark.parametrize(
    ("url", "bare", "password"),
    [
        ("postgresql://ann:p@db/x", "postgresql://ann@db/x", "p"),
        ("postgresql://ann:p%40/#?q@db:5/x", "postgresql://ann@db:5/x", "p@/#?q"),
        ("postgresql+psycopg://ann:@db/x", "postgresql+psycopg://ann@db/x", ""),
        ("postgresql://ann@db/x", "postgresql://ann@db/x", None),
        ("postgresql:///x?password=a%2Bb&host=/run", "postgresql:///x?host=/run", "a+b"),
        ("postgresql://db/x?sslmode=require&password=a+b", "postgresql://db/x?sslmode=require", "a b"),
        ("postgresql://db/x?a=1&password=p&b=2", "postgresql://db/x?a=1&b=2", "p"),
        ("sqlite:////data/a:b@c", "sqlite:////data/a:b@c", None),
    ],
)
def test_a_password_is_taken_out_of_an_address(url: str, bare: str, password: str | None) -> None:
    """Whatever is left is the same address, for somebody who has the password elsewhere."""
    assert without_password(url) == (bare, password)


@pytest.mark.parametrize("url", ["postgresql://ann@db/x", "postgresql:///x?host=/run", "postgresql://ann:old@db/x"])
def test_the_driver_is_given_the_password_as_it_was(url: str) -> None:
    """From the address if it is there, else from its own setting; odd characters and all."""
    settings = Settings(store_url=url, store_password=SecretStr("p@/:#?& +%"))
    wanted = "old" if "old" in url else "p@/:#?& +%"
    parsed = parse_url(settings.database_url)
    assert (parsed.password, "password" in parsed.query, settings.store_secret) == (wanted, False, wanted)
    assert wanted not in str(parsed)


def test_sqlite_has_no_password() -> None:
    """One that is set for another store changes nothing."""
    settings = Settings(store_url="sqlite:////data/x", store_password=SecretStr("p"))
    assert settings.database_url == "sqlite:////data/x"


def test_a_range_of_ports_is_both_of_its_ends() -> None:
    """Any port where none is given."""
    assert list(Settings(stream_ports="7400-7402").host_ports) == [7400, 7401, 7402]
    assert list(Settings().host_ports) == [0]


@pytest.mark.parametrize("ports", ["7400", "7402-7400", "0-9", "7400-65536", "a-b", "-", "7400-", "1-2-3"])
def test_what_is_no_range_of_ports_is_refused(ports: str) -> None:
    """With an example of one."""
    with pytest.raises(ValidationError, match="7400-7463"):
        Settings(stream_ports=ports)


def test_a_store_that_is_a_file_has_one_node() -> None:
    """The default is one."""
    urls = [None, "sqlite:////x", "postgresql://db/x", "postgresql+psycopg://db/x"]
    assert [Settings(store_url=url).has_one_node for url in urls] == [True, True, False, False]
