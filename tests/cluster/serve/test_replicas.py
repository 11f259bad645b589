"""Where API replicas may run."""

from __future__ import annotations

from typing import Any

import pytest
import ray

import serve_app
from dspex_actors.config import Settings

POSTGRES = "postgresql://dspex@db/dspex"


def node(cpus: float, alive: bool = True) -> dict[str, Any]:
    """As Ray lists it."""
    return {"Alive": alive, "Resources": {"CPU": cpus}}


@pytest.mark.parametrize(
    ("nodes", "replicas", "per_node"),
    [
        ([], 2, None),
        ([node(2)], 2, None),
        ([node(0), node(2), node(2, alive=False)], 2, None),
        ([node(2), node(2)], 2, 1),
        ([node(2)] * 3, 2, 1),
        ([node(2)] * 3, 7, 3),
        ([node(2)] * 3, 1, None),
    ],
)
def test_no_node_has_all_replicas_where_there_are_several(
    monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, Any]], replicas: int, per_node: int | None
) -> None:
    """Only nodes with room for one count; with none that are known, Ray decides."""
    monkeypatch.setattr(ray, "is_initialized", lambda: bool(nodes))
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    app = serve_app.build(Settings(store_url=POSTGRES, api_replicas=replicas))
    config: Any = app._bound_deployment
    assert (config.num_replicas, config._replica_config.max_replicas_per_node) == (replicas, per_node)
