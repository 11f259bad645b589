"""The last event that a client has of a turn: where its stream goes on."""

from __future__ import annotations

from dspex_actors.api.call import Call
from dspex_actors.resources.turn import event_number

QUERY = "last_event_id"


def last_event(call: Call) -> tuple[int, int]:
    """Attempt and number of the `Last-Event-ID` of the header, else of the query; (1, 0) without either.

    The header counts first: an `EventSource` that connects again sends it, and keeps the address that it was given.
    Raises InvalidRequest for what is no event's id.
    """
    text = call.headers.get(b"last-event-id", b"").decode("latin-1").strip() or call.query.get(QUERY, "")
    return event_number(text) if text else (1, 0)
