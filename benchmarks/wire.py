"""HTTP/1.1 with as little work as possible: the load generator shares its cores with the server that it measures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast


class Answer(NamedTuple):
    """What came back: the status (0: the connection was lost or refused), the body, whether the connection lives on."""

    status: int
    body: bytes
    reusable: bool


@dataclass(frozen=True, slots=True)
class Target:
    """A server to load: where it listens, and the bytes of its n-th request."""

    host: str
    port: int
    request: Callable[[int], bytes]


def http_request(
    method: str, host: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """A whole request as bytes, keep-alive, with a JSON body where there is one."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "\r\n"]).encode() + body


def parse_answer(data: bytes) -> Answer | None:
    """The answer at the start of `data`, or None while it is incomplete.

    Raises:
        ValueError: The body has neither a length nor chunks.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].lower()
    body = _body(head, data[end + 4 :])
    return None if body is None else Answer(int(head[9:12]), body, b"connection: close" not in head)


def _body(head: bytes, rest: bytes) -> bytes | None:
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        length = int(head[at + 17 :].split(b"\r\n", 1)[0])
        return rest[:length] if len(rest) >= length else None
    if b"transfer-encoding: chunked" in head:
        return _unchunked(rest)
    raise ValueError("The server sends a body that has neither Content-Length nor chunks: it cannot be measured.")


def _unchunked(rest: bytes) -> bytes | None:
    parts: list[bytes] = []
    while True:
        line, newline, rest = rest.partition(b"\r\n")
        if not newline:
            return None
        size = int(line.split(b";", 1)[0], 16)
        if len(rest) < size + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(rest[:size])
        rest = rest[size + 2 :]


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request on its way."""

    def __init__(self) -> None:
        self.alive = False
        self._transport: asyncio.Transport
        self._buffer = b""
        self._waiter: asyncio.Future[Answer] | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        """Connect. Raises OSError when nobody listens."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        return connection

    async def ask(self, request: bytes) -> Answer:
        """Send one request and wait for its answer; a lost connection is an answer with status 0."""
        if not self.alive:
            return Answer(0, b"connection lost", False)
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiter

    def close(self) -> None:
        """Close it; a request on its way is given up."""
        self.alive = False
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio calls this once."""
        self._transport = cast(asyncio.Transport, transport)
        self.alive = True

    def data_received(self, data: bytes) -> None:
        """asyncio calls this with each piece."""
        if self._buffer:
            data = self._buffer + data
        answer = parse_answer(data)
        self._buffer = data if answer is None else b""
        if answer is not None:
            self._deliver(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio calls this once."""
        self.alive = False
        self._deliver(Answer(0, f"connection lost: {exc}".encode(), False))

    def _deliver(self, answer: Answer) -> None:
        waiter, self._waiter = self._waiter, None
        self.alive = self.alive and answer.reusable
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)


async def fetch(host: str, port: int, request: bytes, timeout_s: float = 5.0) -> Answer:
    """One request on a connection of its own; status 0 when there was no answer in time."""
    try:
        async with asyncio.timeout(timeout_s):
            connection = await Connection.open(host, port)
            try:
                return await connection.ask(request)
            finally:
                connection.close()
    except (OSError, TimeoutError) as error:
        return Answer(0, repr(error).encode(), False)
