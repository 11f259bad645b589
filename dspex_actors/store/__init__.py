"""The store: resources, journal and leases in one SQL database.

Reading order: `port` (what it promises), `schema`, `fence` (the heart: how an entry is committed), `database`
(transactions; `sqlite` and `postgres` are the two kinds), `opening`, `sql`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dspex_actors.store.port import Idempotency, Lease, Listing, Made, Page, Store

if TYPE_CHECKING:
    from dspex_actors.store.opening import open_store
    from dspex_actors.store.sql import SqlStore

__all__ = ["Idempotency", "Lease", "Listing", "Made", "Page", "SqlStore", "Store", "open_store"]


def __getattr__(name: str) -> Any:
    """SQLAlchemy only when a store is opened: supervisors import this package for its values."""
    if name == "open_store":
        from dspex_actors.store.opening import open_store

        return open_store
    if name == "SqlStore":
        from dspex_actors.store.sql import SqlStore

        return SqlStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
