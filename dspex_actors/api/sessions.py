"""`/v1/sessions`."""

from __future__ import annotations

from typing import Any

from dspex_actors.api.asgi import REPLAYED, Response, json_response
from dspex_actors.api.body import read_json, read_optional_json, validated
from dspex_actors.api.call import Call
from dspex_actors.api.etags import etag, if_match_seq
from dspex_actors.api.listing import page_of, page_response
from dspex_actors.api.predict import answered
from dspex_actors.api.turn_body import timeout
from dspex_actors.resources.session import ForkSpec, RewindSpec, SessionChange, SessionSpec
from dspex_actors.resources.turn import CancelSpec, rewind_request
from dspex_actors.store.port import Made


async def create(call: Call) -> Response:
    """Create a session bound to a program."""
    body = await read_json(call)
    spec = validated(SessionSpec, body)
    made = await call.runtime.create_session(call.tenant, spec, call.idempotency("POST /v1/sessions", body))
    return _created(made)


async def fork(call: Call) -> Response:
    """Create a session with the past of another one."""
    session_id, body = call.name("id", "session"), await read_json(call)
    spec = validated(ForkSpec, body)
    key = call.idempotency("POST /v1/sessions/{id}/fork", {"session": session_id, **body})
    return _created(await call.runtime.fork_session(call.tenant, session_id, spec, key))


async def rewind(call: Call) -> Response | None:
    """Let the conversation be what it was after a turn."""
    session_id, spec = call.name("id", "session"), validated(RewindSpec, await read_json(call))
    turn = rewind_request(spec.to_turn, call.idempotency_key(), timeout(call), call.request_id)
    return await answered(call, session_id, turn)


async def index(call: Call) -> Response:
    """A page of sessions, newest first."""
    listing = await call.runtime.list_sessions(call.tenant, page_of(call.query))
    return page_response(listing.items, listing.next_cursor)


async def show(call: Call) -> Response:
    """One session."""
    found = await call.runtime.get_session(call.tenant, call.name("id", "session"))
    return json_response(found, headers=etag(found["changed"]))


async def change(call: Call) -> Response:
    """Let a session run another version of its program, another model, or by another policy."""
    session_id, spec = call.name("id", "session"), validated(SessionChange, await read_json(call))
    made = await call.runtime.change_session(
        call.tenant, session_id, spec, if_match_seq(call), call.idempotency_key(), timeout(call)
    )
    return json_response(made.value, headers=etag(made.value["changed"]) + (REPLAYED if made.replayed else ()))


async def restart(call: Call) -> Response:
    """Let a session wake anew from its recorded turns, out of quarantine too."""
    return json_response(await call.runtime.restart_session(call.tenant, call.name("id", "session")))


async def cancel(call: Call) -> Response:
    """Cancel the running turn, or the one that the body names."""
    session_id = call.name("id", "session")
    spec = validated(CancelSpec, await read_optional_json(call))
    key = call.idempotency_key() or ""
    made = await call.runtime.cancel_turn(
        call.tenant, session_id, spec.turn_id, key and f"{call.principal.key_id}/{key}"
    )
    return json_response(made.value, headers=REPLAYED if made.replayed else ())


async def delete(call: Call) -> Response:
    """Remove a session and all that is its."""
    await call.runtime.delete_session(call.tenant, call.name("id", "session"))
    return Response(status=204)


def _created(made: Made[dict[str, Any]]) -> Response:
    location = ((b"location", f"/v1/sessions/{made.value['id']}".encode()),)
    return json_response(made.value, 201, location + (REPLAYED if made.replayed else ()))
