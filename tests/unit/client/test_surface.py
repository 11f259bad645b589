"""The two clients have one surface."""

from __future__ import annotations

import inspect

import pytest

from dspex_actors.client import async_client, client, retention

PAIRS = [
    (client.Client, async_client.AsyncClient),
    (client.Programs, async_client.AsyncPrograms),
    (client.Sessions, async_client.AsyncSessions),
    (client.Session, async_client.AsyncSession),
    (retention.Retention, retention.AsyncRetention),
]


def surface(cls: type) -> dict[str, list[str]]:
    """The public methods of a class with their parameters."""
    methods = inspect.getmembers(cls, inspect.isfunction)
    return {name: list(inspect.signature(each).parameters) for name, each in methods if not name.startswith("_")}


@pytest.mark.parametrize(("sync", "awaited"), PAIRS, ids=lambda cls: cls.__name__)
def test_both_clients_have_the_same_methods_and_parameters(sync: type, awaited: type) -> None:
    """What is learned of one holds for the other."""
    assert surface(sync) == surface(awaited) != {}


@pytest.mark.parametrize(("sync", "awaited"), PAIRS, ids=lambda cls: cls.__name__)
def test_both_clients_are_documented_in_the_same_words(sync: type, awaited: type) -> None:
    """Neither page can go stale alone."""
    for name in surface(sync):
        assert getattr(sync, name).__doc__ == getattr(awaited, name).__doc__
