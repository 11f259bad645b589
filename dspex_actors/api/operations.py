"""Moving sessions, and emptying hosts."""

from __future__ import annotations

from dspex_actors.api.asgi import Response, json_response
from dspex_actors.api.body import read_optional_json, validated
from dspex_actors.api.call import Call
from dspex_actors.api.turn_body import timeout
from dspex_actors.resources.moves import DrainSpec, MigrateSpec


async def migrate(call: Call) -> Response:
    """Move a session to another host."""
    session_id = call.name("id", "session")
    spec = validated(MigrateSpec, await read_optional_json(call))
    return json_response(await call.runtime.migrate_session(call.tenant, session_id, spec.host, timeout(call)))


async def drain(call: Call) -> Response:
    """Let a host give away all it has, and end."""
    validated(DrainSpec, await read_optional_json(call))
    return json_response(await call.runtime.drain_host(call.params["id"], timeout(call)))
