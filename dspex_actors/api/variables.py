"""`/v1/sessions/{id}/variables`."""

from __future__ import annotations

from typing import Any

import orjson

from dspex_actors.api.asgi import REPLAYED, Response, json_response
from dspex_actors.api.body import read_json, validated
from dspex_actors.api.call import Call
from dspex_actors.api.disconnect import ClientWatch
from dspex_actors.api.etags import etag, if_match_seq
from dspex_actors.api.turn_body import timeout
from dspex_actors.resources.turn import ValueSpec, ValuesSpec, variable_request


async def index(call: Call) -> Response:
    """All variables of a session."""
    found = await call.runtime.variables(call.tenant, call.name("id", "session"))
    return json_response(found, headers=etag(found["seq"]))


async def replace(call: Call) -> Response | None:
    """Set these values, and let all others be the first ones again."""
    spec = validated(ValuesSpec, await read_json(call))
    return await _set(call, spec.values, replace=True)


async def put(call: Call) -> Response | None:
    """Set one value."""
    spec = validated(ValueSpec, await read_json(call))
    return await _set(call, {call.name("name", "variable"): spec.value}, replace=False)


async def _set(call: Call, values: dict[str, Any], *, replace: bool) -> Response | None:
    session_id, key = call.name("id", "session"), call.idempotency_key()
    change = variable_request(values, replace, if_match_seq(call), key, timeout(call), call.request_id)
    with ClientWatch(call.receive) as client:
        answer = await call.runtime.predict(call.tenant, session_id, change)
    if client.gone:
        return None
    tag = etag(orjson.loads(answer.body)["seq"])
    return Response(answer.body, headers=tag + (REPLAYED if answer.replayed else ()))
