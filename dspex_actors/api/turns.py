"""`/v1/sessions/{id}/turns`: what a session has been through."""

from __future__ import annotations

from dspex_actors.api.asgi import Response, json_response
from dspex_actors.api.call import Call
from dspex_actors.api.listing import include_failed, page_of, page_response
from dspex_actors.errors import NotFound


async def index(call: Call) -> Response:
    """A page of turns, oldest first."""
    page = page_of(call.query, descending=False)
    session_id = call.name("id", "session")
    listing = await call.runtime.turns(call.tenant, session_id, page, include_failed(call.query))
    return page_response(listing.items, listing.next_cursor, removed_turns=listing.removed)


async def show(call: Call) -> Response:
    """One turn by its number."""
    number = call.params["n"]
    if not (number.isascii() and number.isdigit() and len(number) <= 18 and int(number) > 0):
        raise NotFound("Turns are numbered from 1. List them to see which there are.")
    return json_response(await call.runtime.turn(call.tenant, call.name("id", "session"), int(number)))


async def show_by_id(call: Call) -> Response:
    """The outcome of a turn whose answer was lost."""
    session_id, turn_id = call.name("id", "session"), call.name("turn_id", "turn")
    return json_response(await call.runtime.turn_by_id(call.tenant, session_id, turn_id))
