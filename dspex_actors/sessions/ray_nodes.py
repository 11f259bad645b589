"""Which nodes an instance runs on: all of the cluster's, or, where the store is a file, the one that has the file."""

from __future__ import annotations

import ipaddress
import math
from typing import Any

import ray

from dspex_actors.config import Settings
from dspex_actors.errors import InvalidRequest

_HEAD = "node:__internal_head__"
"""What Ray gives its head node to have of, and no other: also to the next head, when this one is replaced."""


def ray_options(settings: Settings, num_cpus: float) -> dict[str, Any]:
    """Ray's options for an actor of this instance: on SQLite the head node has the file, and everything is there."""
    here = {"resources": {_HEAD: 0.001}} if settings.has_one_node else {}
    return {"num_cpus": num_cpus, **here}


def node_id() -> str:
    """Ray's id of the node that this process runs on."""
    return str(ray.get_runtime_context().get_node_id())


def refuse_elsewhere(settings: Settings) -> None:
    """Whether this process may be a part of the instance.

    Raises:
        InvalidRequest: The store is a file, and this is not the node that has it.
    """
    if not settings.has_one_node:
        return
    head = next((node["NodeID"] for node in _living_nodes() if _HEAD in node["Resources"]), None)
    if head not in (None, node_id()):
        msg = (
            f"SQLite serves one node, the head of the Ray cluster ({head}), and this is another one: start it there, "
            "or set DSPEX_STORE_URL to a PostgreSQL database, which all nodes reach."
        )
        raise InvalidRequest(msg, errors=[{"loc": ["store_url"], "msg": msg, "type": "one_node"}])


def stream_ip(settings: Settings) -> str | None:
    """This node's own address, where hosts listen for routers on other nodes; None where there cannot be any."""
    if settings.has_one_node:
        return None
    ip = str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
    return None if _is_loopback(ip) and len(_living_nodes()) == 1 else ip


def _is_loopback(ip: str) -> bool:
    try:
        return ipaddress.ip_address(ip).is_loopback
    except ValueError:
        return ip == "localhost"


def _living_nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def per_node(copies: int, cpus: float) -> int | None:
    """How many of some processes a node may have, so that no node's loss takes all of them; None where that cannot be.

    Args:
        copies: How many there are.
        cpus: What each asks for; only nodes with so many count.
    """
    nodes = ray.nodes() if ray.is_initialized() else []  # type: ignore[no-untyped-call]
    fit = sum(node["Alive"] and node["Resources"].get("CPU", 0) >= cpus for node in nodes)
    return math.ceil(copies / fit) if min(copies, fit) > 1 else None
