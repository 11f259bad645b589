"""The way from a router to a host: its Unix socket on the same node, TLS to another one."""

from __future__ import annotations

import asyncio
import logging
import ssl

from dspex_actors.sessions.link import HELLO_S, Link
from dspex_actors.sessions.tls import TlsAddress, binding_of, trusting

log = logging.getLogger(__name__)

Way = str | TlsAddress
"""The path of a Unix socket, or an address for TLS."""


def binding_to(way: Way) -> bytes:
    """What a handshake on this way is tied to."""
    return binding_of(way.certificate) if isinstance(way, TlsAddress) else b""


async def connect(link: Link, way: Way) -> None:
    """Connect a router's end. Raises OSError where nobody listens, or somebody else, or nobody answers."""
    loop = asyncio.get_running_loop()
    if isinstance(way, str):
        await loop.create_unix_connection(lambda: link, way)
        return
    try:
        async with asyncio.timeout(HELLO_S):
            await loop.create_connection(lambda: link, way.ip, way.port, ssl=trusting(way.certificate))
    except ssl.SSLCertVerificationError:
        log.warning("at %s port %s somebody listens who is not %s", way.ip, way.port, link.host)
        raise
