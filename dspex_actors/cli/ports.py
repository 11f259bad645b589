"""Ports: whether the one asked for is free, and free ones for the parts that only this machine talks to."""

from __future__ import annotations

import errno
import random
import socket

from dspex_actors.errors import InUse, InvalidRequest

LOOPBACK = "127.0.0.1"
REPLICA_PORTS = 100
_LOWEST, _HIGHEST = 20_000, 32_000  # below the range that systems hand out by themselves


def check_free(host: str, port: int) -> None:
    """Bind the address once, and let go of it.

    Raises:
        InUse: Something listens there.
        InvalidRequest: It is no address of this machine, or not one that this user may use.
    """
    try:
        _bind(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            msg = f"Port {port} on {host} is taken: stop what listens there, or set another DSPEX_PORT."
            raise InUse(msg) from error
        msg = f"Cannot listen on {host} port {port} ({error.strerror}): set another DSPEX_HOST or DSPEX_PORT."
        raise InvalidRequest(msg) from error


def _bind(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def free_block(size: int, *, seed: str) -> int:
    """The first of `size` neighbouring ports that are free on loopback now; the same `seed` tends to the same block.

    Raises:
        InUse: There is no such block on this machine.
    """
    bases = list(range(_LOWEST, _HIGHEST - size, size))
    random.Random(seed).shuffle(bases)  # noqa: S311
    for base in bases:
        if all(_is_free(port) for port in range(base, base + size)):
            return base
    raise InUse(f"No {size} neighbouring free ports between {_LOWEST} and {_HIGHEST}: stop what takes them.")


def _is_free(port: int) -> bool:
    try:
        _bind(LOOPBACK, port)
    except OSError:
        return False
    return True
