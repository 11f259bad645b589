"""Many children on three nodes, one of which is lost as a whole: all of them are back, from warm spares."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
import ray

from benchmarks.node_loss import Nodes, Supervised, own_nodes
from tests.cluster.supervisors.actors import eventually

CHILDREN = 15  # `benchmarks/node_loss.py` takes two hundred
SPARES = 9
"""A third of them is lost with the node, and what is left must do for a third of the children."""
BOUND_S = 15.0
"""Without spares that many processes take longer than a minute; the figure itself is printed."""


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Nodes]:
    """Three nodes."""
    with own_nodes() as nodes:
        yield nodes


async def living_in_ray(kind: Supervised) -> bool:
    """Whether the actors that Ray names are those that the supervisor knows, children and spares."""
    known = {node["name"] for node in (await kind.sup.tree())["children"]}
    named = {entry["name"] for entry in ray.util.list_named_actors(all_namespaces=True)}
    return {name for name in named if name.startswith("many/")} == known


@pytest.mark.timeout(1200)
def test_all_children_are_back_on_two_nodes_when_the_third_is_lost(cluster: Nodes) -> None:
    """Each number once; who was elsewhere runs on; on each node as many as on the other, or nearly."""

    async def story() -> None:
        kind = Supervised(cluster, CHILDREN, SPARES)
        await kind.start()
        before, lost = await kind.where(), cluster.ids[-1]
        assert Counter(spare["node"] for spare in await kind.spares()) == dict.fromkeys(cluster.ids, SPARES // 3)
        exits, restarts, answered = await kind.lose(lost)
        print(f"{len(restarts)} lost: told after {max(exits):.2f} s, back after {max(restarts):.2f} s")  # noqa: T201
        after = await kind.where()
        assert sorted(after) == sorted(before) == list(range(CHILDREN))
        assert {number: node for number, node in before.items() if node != lost}.items() <= after.items()
        spread = Counter(after.values())
        assert set(spread) == set(cluster.ids[:-1])
        assert max(spread.values()) - min(spread.values()) <= 1
        await eventually(lambda: living_in_ray(kind))
        assert max(restarts) <= answered <= BOUND_S
        await kind.stop()

    asyncio.run(story())
