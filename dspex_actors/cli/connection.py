"""A command's client: which server it asks, and with which key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dspex_actors.cli.banner import url_of
from dspex_actors.cli.output import reporting
from dspex_actors.cli.settings import load
from dspex_actors.client.attempts import Retry
from dspex_actors.client.client import Client
from dspex_actors.client.failures import Unreachable
from dspex_actors.client.origin import is_local, kept_key
from dspex_actors.config import Settings

AT_ONCE = Retry(unreachable_s=0.0)
"""A person who forgot to start the server wants to hear so at once."""


@contextmanager
def connected(url: str | None, as_json: bool) -> Iterator[Client]:
    """A client of the server at `url`, else of the one that the settings name; its errors are reported, exit 1."""
    settings = load()
    address = url or url_of(settings)
    with reporting(as_json), Client(address, api_key=_key(settings, address), retry=AT_ONCE) as client:
        try:
            yield client
        except Unreachable as error:
            if type(error) is not Unreachable:
                raise
            said = f"No server answers at {client.base_url}. Start one with 'dspex serve', or set --url."
            raise Unreachable(said) from error


def _key(settings: Settings, address: str) -> str | None:
    """The key is never an argument: other users of the machine can read those."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    return kept_key(settings.home) if is_local(address) else None
