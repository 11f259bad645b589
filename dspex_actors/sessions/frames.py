"""Frames between a router and a host: `length | msgpack [kind, stream, more, head, body]`, at most 64 KiB each.

A larger body goes in pieces, with other messages in between, so that nobody waits behind it; only messages of one lane
keep their order.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgspec

PIECE_BYTES = 60 * 1024
FRAME_BYTES = 64 * 1024
HEAD_BYTES = FRAME_BYTES - PIECE_BYTES - 64
MESSAGE_BYTES = 16 * 1024 * 1024
PROTOCOL_RANGE = (1, 1)
_WRITE_BYTES = 256 * 1024
_LENGTH = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode
_NOTHING = msgspec.Raw(_encode(None))


class Kind(IntEnum):
    """What a frame is. The head of each is named at the end of its line."""

    HELLO = 1  # a map, see link.py
    TURN = 2  # fields of Ask and TurnRequest; body: the inputs
    CANCEL = 3  # nothing: the client has gone
    STATUS = 4  # attempt: it began
    TOKEN = 5  # n, field, whether more of this delta follows; body: the delta
    REPLY = 6  # replayed; body: the answer
    FAIL = 7  # nothing; body: the problem
    MOVED = 8  # nothing
    CREDIT = 9  # how many token events the reader has taken
    PING = 10  # nothing; answered by the same
    PEEK = 11  # uids; answered by the same with [status, restarts] of each
    RESTART = 12  # uid, unit; answered by the same with whether the host serves it
    CANCEL_TURN = 13  # uid, unit, turn id or nothing, key; answered by the same with a Cancellation, or nothing
    WATCH = 16  # fields of Watch; answered by the same with whether the turn is here, or nothing: ask again


Frame = tuple[int, int, bool, Any, bytes]
_decode = msgspec.msgpack.Decoder(tuple[int, int, bool, Any, bytes]).decode


class FrameError(Exception):
    """The peer does not speak this protocol; the connection is over."""


@dataclass(slots=True)
class _Outgoing:
    kind: int
    stream: int
    head: msgspec.Raw
    body: bytes
    lane: str | None
    offset: int = 0


class Sender:
    """Turns messages into frames, in order, pieces of large ones taking turns."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._queue: deque[_Outgoing] = deque()
        self._lanes: dict[str, deque[_Outgoing]] = {}
        self.paused = False

    def put(self, kind: Kind, stream: int, head: Any = None, body: bytes = b"", lane: str | None = None) -> None:
        """Queue a message; `flush` sends it. One of a lane starts when the lane's earlier ones have gone whole.

        Raises:
            FrameError: The head is too large for a frame. Nothing was queued.
        """
        encoded = _encode(head)
        if len(encoded) > HEAD_BYTES:
            raise FrameError(f"a head of {len(encoded)} bytes, where {HEAD_BYTES} fit")
        self._line_up(_Outgoing(kind, stream, msgspec.Raw(encoded), body, lane))

    def _line_up(self, message: _Outgoing) -> None:
        if message.lane is not None:
            if (behind := self._lanes.get(message.lane)) is not None:
                behind.append(message)
                return
            if len(message.body) > PIECE_BYTES:
                self._lanes[message.lane] = deque()
        self._queue.append(message)

    def flush(self) -> None:
        """Write what the transport takes."""
        while self._queue and not self.paused:
            chunks: list[bytes] = []
            size = 0
            while self._queue and size < _WRITE_BYTES:
                chunk = self._piece(self._queue.popleft())
                chunks.append(chunk)
                size += len(chunk)
            self._write(b"".join(chunks))

    def _piece(self, message: _Outgoing) -> bytes:
        end = message.offset + PIECE_BYTES
        more = end < len(message.body)
        piece = message.body[message.offset : end] if more or message.offset else message.body
        head = message.head if message.offset == 0 else _NOTHING
        if more:
            message.offset = end
            self._queue.append(message)
        elif message.offset and message.lane is not None:
            for behind in self._lanes.pop(message.lane):
                self._line_up(behind)
        data = _encode((message.kind, message.stream, more, head, piece))
        return _LENGTH.pack(len(data)) + data


class Receiver:
    """Turns bytes into whole messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._parts: dict[tuple[int, int], tuple[Any, bytearray]] = {}

    def feed(self, data: bytes) -> Iterator[tuple[Kind, int, Any, bytes]]:
        """The messages that these bytes complete.

        Raises:
            FrameError: The bytes are no frames of this protocol, or too large.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= 4:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > FRAME_BYTES:
                raise FrameError(f"a frame of {length} bytes")
            if len(buffer) - start - 4 < length:
                break
            message = self._message(bytes(memoryview(buffer)[start + 4 : start + 4 + length]))
            start += 4 + length
            if message is not None:
                yield message
        del buffer[:start]

    def _message(self, data: bytes) -> tuple[Kind, int, Any, bytes] | None:
        try:
            kind, stream, more, head, body = _decode(data)
            kind = Kind(kind)
        except (msgspec.MsgspecError, ValueError) as error:
            raise FrameError("not a frame") from error
        key = (kind, stream)
        parts = self._parts.get(key) if self._parts else None
        if parts is None:
            if not more:
                return kind, stream, head, body
            self._parts[key] = (head, bytearray(body))
            return None
        parts[1].extend(body)
        if len(parts[1]) > MESSAGE_BYTES:
            raise FrameError("a message that is too large")
        if more:
            return None
        del self._parts[key]
        return kind, stream, parts[0], bytes(parts[1])
