"""Server-Sent Events, from the bytes of a connection."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from dspex_actors.client.reply import Event


class EventParser:
    """Takes pieces of a stream, cut anywhere, and gives the events that are whole (WHATWG HTML, section 9.2.6).

    Lines end in LF or CR LF, as the server and its proxies send them.
    """

    def __init__(self, *, replayed: bool) -> None:
        self._replayed = replayed
        self._rest = b""
        self._fields: dict[bytes, list[bytes]] = {}

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that end in this piece. Raises ValueError for an event that is not one of ours."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            event = self._line(line.removesuffix(b"\r"))
            if event is not None:
                yield event

    def _line(self, line: bytes) -> Event | None:
        if line:
            name, _, value = line.partition(b":")
            self._fields.setdefault(name, []).append(value.removeprefix(b" "))
            return None
        fields, self._fields = self._fields, {}
        return self._event(fields) if b"data" in fields else None

    def _event(self, fields: dict[bytes, list[bytes]]) -> Event:
        data = orjson.loads(b"\n".join(fields[b"data"]))
        if not isinstance(data, dict):
            raise ValueError("an event's data is a JSON object")
        last = {name: values[-1].decode() for name, values in fields.items() if name in (b"id", b"event")}
        return Event(last.get(b"id", ""), last.get(b"event", "message"), data, self._replayed)
