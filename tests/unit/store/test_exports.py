"""What the package gives."""

from __future__ import annotations

from dspex_actors import store


def test_the_store_exports_its_port_and_its_door() -> None:
    """Sorted, and nothing by accident."""
    assert store.__all__ == ["Idempotency", "Lease", "Listing", "Made", "Page", "SqlStore", "Store", "open_store"]
    assert all(hasattr(store, name) for name in store.__all__)
