"""The store: resources, journal and leases in one SQL database.

Reading order: `port` (what it promises), `schema`, `fence` (the heart: how an entry is committed), `database`
(transactions), `opening`, `sql`.
"""

from dspex_actors.store.opening import open_store
from dspex_actors.store.port import Idempotency, Lease, Listing, Made, Page, Store
from dspex_actors.store.sql import SqlStore

__all__ = ["Idempotency", "Lease", "Listing", "Made", "Page", "SqlStore", "Store", "open_store"]
