"""`ETag` and `If-Match`: what a client has read, so that it changes nothing else."""

from __future__ import annotations

from dspex_actors.api.asgi import Headers
from dspex_actors.api.call import Call

NO_ENTRY = -1


def etag(value: object) -> Headers:
    """The header of an answer that can be changed."""
    return ((b"etag", f'"{value}"'.encode()),)


def if_match(call: Call) -> str | None:
    """What the client has read; None where it does not say, or says `*`."""
    given = call.headers.get(b"if-match")
    text = "*" if given is None else given.decode("latin-1").strip()
    return None if text == "*" else text.removeprefix('"').removesuffix('"')


def if_match_seq(call: Call) -> int | None:
    """The same where it numbers an entry; what is no number is the number of none."""
    text = if_match(call)
    if text is None:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else NO_ENTRY
