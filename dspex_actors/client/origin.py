"""Where the server is, and the key that opens it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from dspex_actors.errors import DspexError, InvalidRequest, Unauthenticated

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - addresses to listen on, not to call
_SENDABLE = re.compile(r"[\x21-\x7e]+")
_HOST = re.compile(r"[\w.:%~-]+")
_NO_KEY = (
    "No key is known for {url}. Give api_key=, or set DSPEX_API_KEY; for a server of this machine, "
    "set DSPEX_HOME to its data folder, whose file api-key holds one."
)


@dataclass(frozen=True, slots=True)
class Origin:
    """A server's address and the key for it. The key is in no text that this object gives."""

    url: str
    key: str | None = field(default=None, repr=False)

    @property
    def is_local(self) -> bool:
        """See `is_local`."""
        return is_local(self.url)

    def headers(self) -> dict[str, str]:
        """What shows the key, if there is one."""
        return {} if self.key is None else {"authorization": f"Bearer {self.key}"}

    def refused(self, error: DspexError) -> DspexError:
        """The error; where a key is missing here, one that says where it may come from."""
        if error.code == Unauthenticated.code and self.key is None:
            return Unauthenticated(_NO_KEY.format(url=self.url))
        return error


def origin(base_url: str | None, api_key: str | None) -> Origin:
    """The server at an address, with a key from the argument, `DSPEX_API_KEY`, or the file `api-key` of `DSPEX_HOME`.

    Args:
        base_url: Its address; from `DSPEX_HOST` and `DSPEX_PORT` when not given.
        api_key: The key. The file is read for an address of this machine only.

    Raises:
        InvalidRequest: The address or the key cannot be one.
    """
    url = _checked(base_url or _default_url())
    key = api_key or os.environ.get("DSPEX_API_KEY") or (kept_key(_home()) if is_local(url) else None)
    if key is not None and not _SENDABLE.fullmatch(key):
        raise InvalidRequest("A key is printable ASCII without spaces. Copy it again from where it was shown.")
    return Origin(url, key)


def url_of(host: str, port: int | str) -> str:
    """The address that a client uses for a server that listens on a host and a port."""
    called = _EVERYWHERE.get(host, host)
    return f"http://[{called}]:{port}" if ":" in called else f"http://{called}:{port}"


def _default_url() -> str:
    return url_of(os.environ.get("DSPEX_HOST") or "127.0.0.1", os.environ.get("DSPEX_PORT") or "8000")


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(_HOST.fullmatch(parts.hostname or "")) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.username is not None or parts.query or parts.fragment:
        raise InvalidRequest("A server's address is http://host:port or https://host, without a key or a query in it.")
    return url.rstrip("/")


def is_local(url: str) -> bool:
    """Whether the address is of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def kept_key(home: Path) -> str | None:
    """The key that a server keeps in its data folder; None when there is none. Raises InvalidRequest if unreadable."""
    file = home / "api-key"
    try:
        return file.read_text().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The key file {file} cannot be read. Set DSPEX_API_KEY.") from error


def _home() -> Path:
    return Path(os.environ.get("DSPEX_HOME") or ".dspex").expanduser()
