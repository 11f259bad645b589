"""Operations on the tree in Ray: asked of placement, which moves things."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from ray.exceptions import RayError

from dspex_actors.errors import DspexError, NoCapacity
from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.placement import Drained, Migrated
from dspex_actors.sessions.ray_seek import placement_handle
from dspex_actors.sessions.tree import show_tree

Json = dict[str, Any]


class RayOperations:
    """See `Operations`."""

    async def tree(self) -> Json:
        """See `Operations`."""
        return await show_tree()

    async def migrate(self, record: SessionRecord, host: str | None, patience_s: float) -> Migrated:
        """See `Operations`."""
        name = None if host is None else await _name_of(host)
        moved: Migrated = await _ask(
            lambda placement: placement.migrate.remote(record.uid, record.shard, name, patience_s)
        )
        return moved

    def check_isolation(self, isolation: str) -> None:
        """See `Operations`: all there are can be had."""

    async def house(self, record: SessionRecord, patience_s: float) -> None:
        """See `Operations`."""
        await _ask(lambda placement: placement.house.remote(record.uid, patience_s))

    async def vacate(self, record: SessionRecord) -> None:
        """See `Operations`."""
        with contextlib.suppress(NoCapacity):
            await _ask(lambda placement: placement.vacate.remote())

    async def drain_host(self, host: str, timeout_s: float) -> Drained:
        """See `Operations`."""
        name = await _name_of(host)
        drained: Drained = await _ask(lambda placement: placement.drain_host.remote(name, timeout_s))
        return drained


async def _name_of(host: str) -> str:
    """The host's own name, for one that is called by its place in the tree (`host-1`)."""
    return host if "#" in host else _names(await show_tree()).get(host, host)


def _names(node: Json) -> dict[str, str]:
    found = {node["id"]: node["name"]} if node["kind"] in ("host", "standby", "dedicated") and node.get("name") else {}
    return found | {id_: name for child in node["children"] for id_, name in _names(child).items()}


async def _ask(question: Callable[[Any], Any]) -> Any:
    try:
        return await question(await placement_handle())
    except (RayError, LookupError) as error:
        cause = getattr(error, "cause", None)  # what placement itself raised, without Ray's traceback
        if isinstance(cause, DspexError):
            raise cause from None
        raise NoCapacity("Placement does not answer; it is started again. Try again.", retry_after_s=1) from error
