"""A new dedicated session is there as soon as it has a host of its own, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from dspex_actors.errors import NoCapacity, NotFound
from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.operations import Operations
from dspex_actors.sessions.placement import Place
from dspex_actors.store.port import Made, Store

HOUSE_S = 10.0
"""How long a creation waits for a standby."""
PLACED_S = 1.0
"""How long, after that, for the word of it to come here."""
POLL_S = 0.002


async def housed(
    made: Made[SessionRecord], store: Store, operations: Operations, place: Callable[[SessionRecord], Place]
) -> None:
    """Wait until a dedicated session that was just created has a host of its own, and turns find it there.

    Raises:
        NoCapacity: There is none in time, or there may not be one more. The session is gone again, unless it was
            created by an earlier call.
    """
    record = made.value
    try:
        await operations.house(record, HOUSE_S)
    except NoCapacity:
        if not made.replayed:
            await _take_back(record, store, operations)
        raise
    for _ in range(round(PLACED_S / POLL_S)):
        if place(record).host is not None:
            return
        await asyncio.sleep(POLL_S)


async def _take_back(record: SessionRecord, store: Store, operations: Operations) -> None:
    with contextlib.suppress(NotFound):
        await asyncio.to_thread(store.delete_session, record.tenant, record.id, record.uid)
    await operations.vacate(record)
