"""`POST /v1/sessions/{id}/predict`: the hot path."""

from __future__ import annotations

from dspex_actors.api.asgi import REPLAYED, Response
from dspex_actors.api.body import read_json
from dspex_actors.api.call import Call
from dspex_actors.api.disconnect import ClientWatch
from dspex_actors.api.sse import stream_turn
from dspex_actors.api.turn_body import turn_request
from dspex_actors.resources.turn import TurnRequest


async def predict(call: Call) -> Response | None:
    """Run a turn: one JSON answer, or events when the client accepts `text/event-stream`."""
    session_id = call.name("id", "session")
    turn = turn_request(call, await read_json(call))
    if turn.stream:
        await stream_turn(call, session_id, turn)
        return None
    return await answered(call, session_id, turn)


async def answered(call: Call, session_id: str, turn: TurnRequest) -> Response | None:
    """The one JSON answer of a turn or a rewind."""
    with ClientWatch(call.receive) as client:
        answer = await call.runtime.predict(call.tenant, session_id, turn)
    if client.gone:
        return None
    return Response(answer.body, headers=REPLAYED if answer.replayed else ())
