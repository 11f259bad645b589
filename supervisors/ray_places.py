"""Where the children of a supervisor are put: by labels, away from siblings, off nodes that are lost or leaving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisors.clock import Clock
from supervisors.ray_watch import living_nodes
from supervisors.spec import ChildSpec
from supervisors.spread import Node, needs_of, place

_NODE_LABEL = "ray.io/node-id"
_SEEN_S = 0.2


class Places:
    """What is known of the nodes, and Ray's options that put a child on one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._avoided: set[str] = set()  # Ray's table may still have them
        self._seen: list[Node] = []
        self._seen_until = 0.0

    def avoid(self, node: str) -> None:
        """It will go away, or has: no child is to be placed there."""
        self._avoided.add(node)

    def readmit(self, node: str) -> None:
        """It is a node like any other again."""
        self._avoided.discard(node)

    def is_avoided(self, node: str) -> bool:
        """Whether no child is to be there."""
        return node in self._avoided

    def choose(self, spec: ChildSpec, siblings: Mapping[str, int]) -> tuple[dict[str, Any], str]:
        """The node with the fewest siblings, if it is to be that; should it be gone by then, any with the labels.

        Ray's own soft node affinity is of no use: actors that need no CPU go anywhere.

        Returns:
            Ray's options, and the node; empty if that is left to Ray.
        """
        labels = {**(spec.options.get("label_selector") or {}), **spec.node_labels}
        options: dict[str, Any] = {"label_selector": labels} if labels else {}
        if not spec.anti_affinity or {"scheduling_strategy", "fallback_strategy"} & set(spec.options):
            return options, ""
        nodes = [node for node in self._nodes() if not self.is_avoided(node.id)]
        chosen = place(nodes, siblings, labels, needs_of(spec.options))
        if chosen:
            options["label_selector"] = {**labels, _NODE_LABEL: chosen}
            options["fallback_strategy"] = [{"label_selector": labels}]
        return options, chosen

    def _nodes(self) -> list[Node]:
        """The living nodes as of a moment ago: asking Ray holds up the loop, and many children may start at once."""
        now = self._clock.monotonic_s()
        if now > self._seen_until:
            self._seen, self._seen_until = living_nodes(), now + _SEEN_S
        return self._seen
