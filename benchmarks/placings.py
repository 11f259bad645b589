"""Placings by a formula, to hold the planner's against: shard -> host, without memory and without looking at loads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.populations import Ints

POINTS = 100
"""How often each host is on the ring of consistent hashing."""
_ROWS = 1024


def modulo(shards: int, hosts: Sequence[str]) -> Ints:
    """The shard's hash modulo the number of hosts."""
    return (_hashes("shard", range(shards)) % np.uint64(len(hosts))).astype(np.int64)


def ring(shards: int, hosts: Sequence[str]) -> Ints:
    """Consistent hashing: the next of the hosts' points on a ring."""
    points = _hashes("point", (f"{host}/{point}" for host in hosts for point in range(POINTS)))
    order = np.argsort(points)
    nearest = np.searchsorted(points[order], _hashes("shard", range(shards))) % len(points)
    return (order[nearest] // POINTS).astype(np.int64)


def rendezvous(shards: int, hosts: Sequence[str]) -> Ints:
    """The host whose hash together with the shard's is highest."""
    mine, theirs = _hashes("shard", range(shards)), _hashes("host", hosts)
    parts = [
        np.argmax(_mixed(mine[first : first + _ROWS, None] ^ theirs[None, :]), axis=1)
        for first in range(0, shards, _ROWS)
    ]
    return np.concatenate(parts).astype(np.int64)


PLACINGS: dict[str, Callable[[int, Sequence[str]], Ints]] = {"modulo": modulo, "ring": ring, "rendezvous": rendezvous}


def _hashes(kind: str, names: Iterable[object]) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.blake2b(f"{kind} {name}".encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, dtype=np.uint64)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of the result depends on every bit of the value (the finalizer of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
