"""Watching a turn in the process that runs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from dspex_actors.resources.turn import TurnEvent, event_number
from dspex_actors.sessions.host import Host
from dspex_actors.sessions.runtime import SessionRuntime
from dspex_actors.sessions.session import Turn
from dspex_actors.sessions.waiting import NO_EVENT
from dspex_actors.sessions.watching import Sight, Watch, WatchWait

TENANT = "default"
DEFAULT_TIMEOUT_S = 60.0


class Resumable:
    """A session whose turns can be watched by their ids."""

    def __init__(self, runtime: SessionRuntime, session_id: str) -> None:
        self.id = session_id
        self._runtime = runtime

    async def resume(
        self, turn_id: str, last_event_id: str | None = None, *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> AsyncGenerator[TurnEvent]:
        """The events of a turn that was sent before, from the one after `last_event_id` on; starts nothing.

        Raises:
            NotFound: No turn of that id runs, waits or is recorded.
            OutcomeUnknown: The turn has not ended in this time.
            InvalidRequest: `last_event_id` is no event's id.
        """
        last = event_number(last_event_id) if last_event_id is not None else NO_EVENT
        async with aclosing(self._runtime.watch(TENANT, self.id, turn_id, last, timeout_s)) as events:
            async for event in events:
                yield event


async def look_here(host: Host, watch: Watch, wait: WatchWait) -> Sight:
    """Let the one host of this process tell the watcher, until it has nothing more to say."""
    told = wait.look()
    found = host.watch(watch, wait)
    if not isinstance(found, Turn):
        return found
    try:
        return await told
    finally:
        found.watchers.pop(wait, None)
