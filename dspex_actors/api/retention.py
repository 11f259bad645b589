"""`/v1/retention`."""

from __future__ import annotations

from dspex_actors.api.asgi import Response, json_response
from dspex_actors.api.body import read_json, validated
from dspex_actors.api.call import Call
from dspex_actors.api.etags import etag, if_match
from dspex_actors.resources.retention import Held, Retention


async def show(call: Call) -> Response:
    """How long the past of this tenant's sessions is kept."""
    return _shown(await call.runtime.retention(call.tenant))


async def put(call: Call) -> Response:
    """Say how long: a field that is left out, or null, keeps everything."""
    made = validated(Retention, await read_json(call))
    return _shown(await call.runtime.put_retention(call.tenant, made, if_match(call)))


async def delete(call: Call) -> Response:
    """Let the server's default hold."""
    await call.runtime.put_retention(call.tenant, None, if_match(call))
    return Response(status=204)


def _shown(held: Held) -> Response:
    return json_response(held.public(), headers=etag(held.retention.etag))
