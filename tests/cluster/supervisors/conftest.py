"""A private Ray for each module, with a short folder of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One node on this machine; everything of it is gone afterwards."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray

    folder = tempfile.mkdtemp(prefix="sv", dir="/tmp")
    ray.init(
        address="local",
        _temp_dir=folder,
        object_store_memory=80_000_000,
        include_dashboard=False,
        num_cpus=4,
        log_to_driver=False,
    )
    try:
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
