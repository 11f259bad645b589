"""The admin key: given, kept from an earlier start, or made; its row in the store, its secret in the home."""

from __future__ import annotations

import os
import re
import secrets

from dspex_actors.clock import Clock
from dspex_actors.config import Settings
from dspex_actors.errors import InvalidRequest
from dspex_actors.home import Home, write_private
from dspex_actors.resources.key import ApiKey, hash_secret, new_secret
from dspex_actors.store.port import Store

ADMIN = "admin"
_SENDABLE = re.compile(r"[\x21-\x7e]+")


def ensure_admin_key(settings: Settings, home: Home, store: Store, clock: Clock) -> str:
    """The secret of the key `admin`, after which the store knows it and the home's file holds it.

    `DSPEX_API_KEY` wins over the one of earlier starts and replaces it; without either a new one is made.

    Raises:
        InvalidRequest: The given key cannot be sent in a header.
    """
    secret = _given(settings) or _kept(home) or new_secret()
    digest = hash_secret(secret)
    known = store.find_key(digest)
    if known is None or known.id != ADMIN:
        store.put_key(_admin(secret, clock))
    if _kept(home) != secret:
        write_private(home.key_file, secret + "\n")
    return secret


def provide_admin_key(settings: Settings, store: Store, clock: Clock) -> None:
    """The same for an API replica, on whichever node of a cluster: without `DSPEX_API_KEY` the key that the store knows
    stays, whatever this node's home holds. Only the one that makes the first key needs a home.

    Raises:
        InvalidRequest: The given key cannot be sent in a header, or a new one cannot be written down.
    """
    home, given = Home(settings.home), _given(settings)
    if given is not None and home.path.is_dir():
        ensure_admin_key(settings, home, store, clock)
    elif given is not None:
        store.put_key(_admin(given, clock))
    elif not store.has_key(ADMIN):
        kept = _kept(home)
        # Written down first: a key that nobody can read would be nobody's.
        secret = kept or _keep(home, new_secret())
        is_first = store.add_key(_admin(secret, clock)) or store.find_key(hash_secret(secret)) is not None
        if kept is None and not is_first:
            home.key_file.unlink(missing_ok=True)  # a replica on another node came first


def _keep(home: Home, secret: str) -> str:
    """Write the key down, unless another replica here has just done so; gives the one that is written."""
    draft = home.key_file.with_name(f".{home.key_file.name}.{secrets.token_hex(4)}")
    try:
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(draft, secret + "\n")
        try:
            os.link(draft, home.key_file)
        except FileExistsError:
            return _kept(home) or secret
        finally:
            draft.unlink()
        return secret
    except OSError as error:
        raise InvalidRequest(
            f"The first admin key cannot be written to {home.key_file} ({error.strerror}): set DSPEX_API_KEY to one of "
            "your own, and start again."
        ) from error


def _admin(secret: str, clock: Clock) -> ApiKey:
    return ApiKey(ADMIN, hash_secret(secret), "default", ("admin",), None, clock.now_us())


def _given(settings: Settings) -> str | None:
    if settings.api_key is None:
        return None
    secret = settings.api_key.get_secret_value()
    if not _SENDABLE.fullmatch(secret):
        raise InvalidRequest("DSPEX_API_KEY takes printable ASCII without spaces, one character at least.")
    return secret


def _kept(home: Home) -> str | None:
    try:
        return home.key_file.read_text().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
