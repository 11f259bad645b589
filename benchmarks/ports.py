"""Ports for servers that are about to be started."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_ANY = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST, _LAST = 20_000, 65_535


def free_port() -> int:
    """A loopback port that nobody listens on now, outside of those that the system gives to whoever asks for any: Ray's
    processes do so, many times, before the server that the port is for has bound it."""
    low, high = map(int, _ANY.read_text().split())
    ports = [*range(_FIRST, low), *range(high + 1, _LAST + 1)]
    while True:
        port = int(random.choice(ports))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
