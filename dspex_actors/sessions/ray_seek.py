"""Where placement is: the one that announced itself last. Nobody's event loop waits for Ray's control store here.

Ray's own look-ups hold up their caller, for a minute when the control store is away; so they are made in a thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import ray

from dspex_actors.sessions.placement import Table

log = logging.getLogger(__name__)

T = TypeVar("T")

NAMESPACE = "dspex"
RETRY_S = 0.05
_KEY = b"dspex:placement"
_ASK_S = 1.0
_WAIT_S = 2.0

_line = ThreadPoolExecutor(1, "seek")
_found: dict[str, Any] = {}  # the placement that was found last


@dataclass(frozen=True, slots=True)
class Announced:
    """A placement that leads, or did."""

    term: int
    name: str


async def announced() -> Announced | None:
    """The one that announced itself last. Raises LookupError when Ray's control store does not answer."""
    value = await _ask(partial(_control_store().internal_kv_get, _KEY, None, _ASK_S))
    if value is None:
        return None
    term, _, name = value.decode().partition(" ")
    return Announced(int(term), name)


async def announce(term: int, name: str) -> None:
    """From now on others find this one. Raises LookupError as above."""
    await _ask(partial(_control_store().internal_kv_put, _KEY, f"{term} {name}".encode(), True, None, _ASK_S))


async def actor_named(name: str) -> Any | None:
    """An actor's handle, None if there is no such actor. Raises LookupError as above."""
    return await _ask(partial(_actor_named, name))


async def placement_handle() -> Any:
    """The placement that last announced itself, or when nobody answers the one that was found before.

    Raises:
        LookupError: There is none.
    """
    try:
        leader = await announced()
    except LookupError:
        for handle in _found.values():
            return handle
        raise
    if leader is None:
        raise LookupError("no placement has started yet")
    if leader.name not in _found:
        handle = await actor_named(leader.name)
        if handle is None:
            raise LookupError(f"placement {leader.name} is gone, and no other one leads yet")
        _found.clear()
        _found[leader.name] = handle
    return _found[leader.name]


async def follow_table(update: Callable[[Table], None]) -> None:
    """Hand every new table to `update`, for ever, whatever becomes of placement."""
    version = 0
    while True:
        try:
            table: Table = await (await placement_handle()).table.remote(version)
            update(table)
            version = max(version, table.version)
        except (ray.exceptions.RayError, LookupError):
            await asyncio.sleep(RETRY_S)
        except Exception:
            log.exception("a table could not be used")  # the next one may; a router without tables serves nobody
            await asyncio.sleep(RETRY_S)


def _actor_named(name: str) -> Any | None:
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return None


def _control_store() -> Any:
    return ray._private.worker.global_worker.gcs_client  # type: ignore[attr-defined]


async def _ask(question: Callable[[], T]) -> T:
    """Ray's answer. A question that nobody waits for any more is not asked."""
    try:
        async with asyncio.timeout(_WAIT_S):
            return await asyncio.get_running_loop().run_in_executor(_line, question)
    except Exception as error:  # Ray does not say which
        raise LookupError(f"Ray's control store does not answer: {error}") from error
