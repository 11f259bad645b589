"""One end of a connection between a router and a host: handshake, frames, pings.

The handshake is a mutual HMAC challenge over both nonces with a key that only processes of this store can read, so that
neither end talks to a stranger. Between nodes it is bound to the certificate of the TLS connection below, so that it
cannot be relayed. Nothing but `hello` is accepted before it is complete.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable
from typing import Any

from dspex_actors.sessions.frames import PROTOCOL_RANGE, FrameError, Kind, Receiver, Sender

log = logging.getLogger(__name__)

HELLO_S = 5.0
PING_S = 0.25
SILENCE_S = 3.0
GREETING_BYTES = 64 * 1024
"""What a peer may send before it has proved itself."""

OnFrame = Callable[["Link", Kind, int, Any, bytes], None]
OnChange = Callable[["Link"], None]


class Link(asyncio.Protocol):
    """A connection. `role` is `router` (the end that connects) or `host` (the end that listens); `binding` is what the
    handshake is tied to, the same at both ends of one connection.

    `on_ready` is called when the peer has proved itself, `on_lost` exactly once when the connection is over.
    """

    def __init__(
        self, role: str, host: str, cluster: str, key: bytes, on_frame: OnFrame, on_ready: OnChange, on_lost: OnChange,
        binding: bytes = b"",
    ) -> None:  # fmt: skip
        self.host = host
        self.ready = self.was_ready = False
        self._role = role
        self._cluster = cluster
        self._key, self._binding = key, binding
        self._on_frame, self._on_ready, self._on_lost = on_frame, on_ready, on_lost
        self._loop = asyncio.get_running_loop()
        self._nonce = secrets.token_bytes(32)
        self._peer_nonce = b""
        self._receiver = Receiver()
        self._sender = Sender(self._write)
        self._transport: asyncio.Transport | None = None
        self._flushing = False
        self._heard = self._pinged = self._loop.time()
        self._unproven_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    # The connection --------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The router's end says hello first."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are no subclass of asyncio's
        self._timer = self._loop.call_later(HELLO_S, self._hello_is_late)
        if self._role == "router":
            self._hello({"v": PROTOCOL_RANGE, "role": "router", "cluster": self._cluster, "nonce": self._nonce})

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        self._heard = self._loop.time()
        try:
            for kind, stream, head, body in self._receiver.feed(data):
                if not self.ready:
                    self._greet(kind, head)
                elif kind is Kind.PING:
                    if self._role == "host":
                        self.send(Kind.PING, 0)
                else:
                    self._on_frame(self, kind, stream, head, body)
            if not self.ready:
                self._bound_greeting(len(data))
        except FrameError as error:
            log.warning("a connection was dropped: %s", error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The stream ended: a hint that the peer died, no proof."""
        self.ready = False
        if self._timer is not None:
            self._timer.cancel()
        self._on_lost(self)

    def pause_writing(self) -> None:
        """The peer reads slowly."""
        self._sender.paused = True

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._sender.paused = False
        self._sender.flush()

    def send(self, kind: Kind, stream: int, head: Any = None, body: bytes = b"", lane: str | None = None) -> None:
        """Queue a message; what is sent in one tick goes out together. Raises FrameError for too large a head."""
        self._sender.put(kind, stream, head, body, lane)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        self._flushing = False
        self._sender.flush()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _bound_greeting(self, more_bytes: int) -> None:
        self._unproven_bytes += more_bytes
        if self._unproven_bytes > GREETING_BYTES:
            raise FrameError("a peer that sends without a hello")

    # The handshake ---------------------------------------------------------------------------------------------
    def _greet(self, kind: Kind, head: Any) -> None:
        if kind is not Kind.HELLO or not isinstance(head, dict):
            raise FrameError("a peer that does not say hello")
        if self._role == "host" and not self._peer_nonce:
            self._answer_router(head)
        elif self._role == "host":
            self._verify(head, b"router")
            self._begin()
        else:
            self._peer_nonce = _bytes(head, "nonce")
            if head.get("host") != self.host:
                raise FrameError(f"a host that is not {self.host}")
            self._verify(head, b"host")
            self._hello({"mac": self._mac(b"router")})
            self._begin()

    def _answer_router(self, head: dict[str, Any]) -> None:
        low, high = _versions(head)
        if high < PROTOCOL_RANGE[0] or low > PROTOCOL_RANGE[1]:
            raise FrameError(f"a router that speaks versions {low} to {high}, not {PROTOCOL_RANGE}")
        if head.get("cluster") != self._cluster:
            raise FrameError("a router of another store")
        self._peer_nonce = _bytes(head, "nonce")
        self._hello({"v": PROTOCOL_RANGE, "host": self.host, "nonce": self._nonce, "mac": self._mac(b"host")})

    def _hello(self, head: dict[str, Any]) -> None:
        self._sender.put(Kind.HELLO, 0, head)
        self._sender.flush()

    def _verify(self, head: dict[str, Any], role: bytes) -> None:
        if not hmac.compare_digest(_bytes(head, "mac"), self._mac(role)):
            raise FrameError("a peer that does not know the key")

    def _mac(self, role: bytes) -> bytes:
        mine, theirs = self._nonce, self._peer_nonce
        router, host = (mine, theirs) if self._role == "router" else (theirs, mine)
        texts = (router.hex(), host.hex(), self.host, self._cluster, self._binding.hex())
        return hmac.digest(self._key, b"|".join((role, *(text.encode() for text in texts))), "sha256")

    def _begin(self) -> None:
        self.ready = self.was_ready = True
        if self._timer is not None:
            self._timer.cancel()
        if self._role == "router":
            self._pinged = self._loop.time()
            self._ping()
        self._on_ready(self)

    def _hello_is_late(self) -> None:
        log.warning("a connection was dropped: its handshake took longer than %s s", HELLO_S)
        self.close()

    def _ping(self) -> None:
        now = self._loop.time()
        late, self._pinged = now - self._pinged - PING_S, now
        # What came in while this loop itself was held up has not been read yet.
        if now - self._heard > SILENCE_S + late:
            self.close()
            return
        self.send(Kind.PING, 0)
        self._timer = self._loop.call_later(PING_S, self._ping)


def _versions(head: dict[str, Any]) -> tuple[int, int]:
    match head.get("v"):
        case [int(low), int(high)]:
            return low, high
    raise FrameError("a hello without proper versions")


def _bytes(head: dict[str, Any], name: str) -> bytes:
    value = head.get(name)
    if not isinstance(value, bytes) or len(value) != 32:
        raise FrameError(f"a hello without a proper {name}")
    return value
