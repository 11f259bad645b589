"""How busy a host is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """What a host has to do at the moment."""

    shards: int
    sessions: int
    in_flight: int
    rss_bytes: int
