"""`GET /v1/sessions/{id}/turns/by-id/{turn_id}/events`: a turn's stream, for whoever has lost it."""

from __future__ import annotations

from dspex_actors.api.asgi import Response
from dspex_actors.api.call import Call
from dspex_actors.api.last_event import last_event
from dspex_actors.api.sse import EVENTS, send_events
from dspex_actors.api.turn_body import MAX_TIMEOUT_S, timeout


async def follow(call: Call) -> Response | None:
    """Send what the client has not seen of the turn, and its end. Starts nothing; whoever leaves cancels nothing.

    No turn has longer than the time that is given where the client names none. HEAD does not wait for the turn.
    """
    session_id, turn_id = call.name("id", "session"), call.name("turn_id", "turn")
    last, timeout_s = last_event(call), timeout(call, None, MAX_TIMEOUT_S)
    if call.scope["method"] == "HEAD":
        await call.runtime.get_session(call.tenant, session_id)
        return Response(media_type=EVENTS)
    await send_events(call, call.runtime.watch(call.tenant, session_id, turn_id, last, timeout_s), last)
    return None
