"""Where a child goes that keeps away from its siblings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_OPERATORS = ("!", "in(")


@dataclass(frozen=True, slots=True)
class Node:
    """A living node: its labels, and how much of each resource is free."""

    id: str
    labels: Mapping[str, str]
    free: Mapping[str, float]


def needs_of(options: Mapping[str, Any]) -> dict[str, float]:
    """What an actor with these options needs of its node; Ray counts one CPU where nothing is said.

    >>> needs_of({"num_cpus": 0.5, "resources": {"disk": 1}})
    {'CPU': 0.5, 'GPU': 0.0, 'disk': 1}
    """
    cpus, gpus = options.get("num_cpus"), options.get("num_gpus")
    return {"CPU": 1.0 if cpus is None else cpus, "GPU": gpus or 0.0, **(options.get("resources") or {})}


def place(
    nodes: Sequence[Node], siblings: Mapping[str, int], labels: Mapping[str, str], needs: Mapping[str, float]
) -> str:
    """The node with the fewest siblings among those that have the labels, and room if any of them has.

    Args:
        nodes: The living ones.
        siblings: How many siblings run, or are about to, on each.
        labels: What the child asks for. One with an operator (`!x`, `in(x, y)`) is left to Ray to judge.
        needs: How much of each resource.

    Returns:
        Its id; empty if none has the labels.

    >>> nodes = [Node("a", {}, {"CPU": 4}), Node("b", {}, {"CPU": 0}), Node("c", {"disk": "ssd"}, {"CPU": 4})]
    >>> place(nodes, {"a": 2, "b": 0, "c": 1}, {}, {"CPU": 1})
    'c'
    >>> place(nodes, {"a": 2, "b": 0, "c": 1}, {}, {"CPU": 0})
    'b'
    >>> place(nodes, {"c": 9}, {"disk": "ssd"}, {})
    'c'
    """
    plain = {key: value for key, value in labels.items() if not value.startswith(_OPERATORS)}
    fit = [node for node in nodes if all(node.labels.get(key) == value for key, value in plain.items())]
    roomy = [node for node in fit if all(node.free.get(key, 0) >= need for key, need in needs.items() if need)]
    best = min(roomy or fit, key=lambda node: (siblings.get(node.id, 0), node.id), default=None)
    return best.id if best is not None else ""
