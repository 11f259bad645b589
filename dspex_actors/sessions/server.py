"""The host's end of the streams: takes turns from routers, and tells them what becomes of each."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import orjson

from dspex_actors.errors import DspexError, Moved
from dspex_actors.resources.turn import TurnRequest
from dspex_actors.sessions.activation import Ask
from dspex_actors.sessions.frames import PIECE_BYTES, FrameError, Kind
from dspex_actors.sessions.host import Host
from dspex_actors.sessions.link import HELLO_S, Link
from dspex_actors.sessions.session import Turn
from dspex_actors.sessions.tls import TlsAddress, binding_of, listen_at, make_identity
from dspex_actors.sessions.watching import Watch

CREDITS = 64
"""Token events that may be under way to a reader; beyond that, deltas are merged here."""
DELTA_CHARS = PIECE_BYTES // 4


class FrameWaiter:
    """Somebody at the other end of a link waits for a turn. The turn never waits for a slow reader."""

    def __init__(self, link: Link, stream: int, streams: bool, forget: dict[int, FrameWaiter]) -> None:
        self.streams = streams
        self._link = link
        self._stream = stream
        self._registry = forget
        self._credits = CREDITS
        self.watched: Turn | None = None
        self._held: deque[tuple[int, str, list[str]]] = deque()

    def started(self, attempt: int) -> None:
        """See `events.Waiter`."""
        self._held.clear()
        self._link.send(Kind.STATUS, self._stream, attempt)

    def token(self, n: int, field: str, delta: str) -> None:
        """See `events.Waiter`."""
        if self._credits > 0 and not self._held:
            self._send(n, field, delta)
        elif self._held and (last := self._held[-1])[1] == field:
            last[2].append(delta)
            self._held[-1] = (n, field, last[2])
        else:
            self._held.append((n, field, [delta]))

    def credit(self, taken: int) -> None:
        """The reader has taken that many."""
        self._credits += taken
        while self._held and self._credits > 0:
            self._send_held()

    def reply(self, body: bytes, replayed: bool) -> None:
        """See `events.Waiter`."""
        self._finish()
        self._link.send(Kind.REPLY, self._stream, replayed, body)

    def fail(self, error: DspexError) -> None:
        """See `events.Waiter`."""
        self._finish()
        if isinstance(error, Moved):
            self._link.send(Kind.MOVED, self._stream)
        else:
            self._link.send(Kind.FAIL, self._stream, None, orjson.dumps(error.problem()))

    def _send(self, n: int, field: str, delta: str) -> None:
        self._credits -= 1
        # Whole frames, so that the order within the stream holds: a larger body's pieces take turns with others.
        for start in range(0, max(len(delta), 1), DELTA_CHARS):
            more = start + DELTA_CHARS < len(delta)
            self._link.send(Kind.TOKEN, self._stream, (n, field, more), _bytes(delta[start : start + DELTA_CHARS]))

    def _finish(self) -> None:
        self._registry.pop(self._stream, None)
        while self._held:
            self._send_held()

    def _send_held(self) -> None:
        n, field, parts = self._held.popleft()
        self._send(n, field, "".join(parts))


class HostServer:
    """Listens for routers that know the key: on a Unix socket, and over TLS for those of other nodes."""

    def __init__(self, host: Host, cluster: str, key: bytes) -> None:
        self._host = host
        self._cluster = cluster
        self._key = key
        self._links: dict[Link, dict[int, FrameWaiter]] = {}
        self._strangers = WeakSet[Link]()  # a connection without a TLS handshake ends without a word to its link
        self._servers: list[asyncio.AbstractServer] = []
        self._path: Path | None = None

    async def listen(self, path: Path) -> None:
        """Open the socket, for this user only."""
        self._path = path
        server = await asyncio.get_running_loop().create_unix_server(partial(self._link, b""), sock=_bind(path))
        self._servers.append(server)

    async def listen_tls(self, ip: str, ports: Iterable[int]) -> TlsAddress:
        """Open a port for routers of other nodes at this address; where, and with which certificate. Raises
        InvalidRequest."""
        identity, sock = make_identity(), listen_at(ip, ports)
        accept = partial(self._link, binding_of(identity.certificate))
        self._servers.append(
            await asyncio.get_running_loop().create_server(
                accept, sock=sock, ssl=identity.context, ssl_handshake_timeout=HELLO_S
            )
        )
        return TlsAddress(ip, sock.getsockname()[1], identity.certificate)

    async def close(self) -> None:
        """Close the sockets and every connection."""
        for server in self._servers:
            server.close()
        for link in [*self._links, *self._strangers]:
            link.close()
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    def _link(self, binding: bytes) -> Link:
        link = Link("host", self._host.name, self._cluster, self._key, self._frame, self._ready, self._lost, binding)
        self._strangers.add(link)
        return link

    def _ready(self, link: Link) -> None:
        self._strangers.discard(link)
        self._links[link] = {}

    def _lost(self, link: Link) -> None:
        self._strangers.discard(link)
        for waiter in self._links.pop(link, {}).values():
            self._leave(waiter)

    def _leave(self, waiter: FrameWaiter) -> None:
        if waiter.watched is None:
            self._host.leave(waiter)
        else:
            waiter.watched.watchers.pop(waiter, None)

    def _watch(self, link: Link, stream: int, head: Any) -> None:
        waiter = FrameWaiter(link, stream, True, self._links[link])
        uid, unit, epoch, turn_id, seen = head
        found = self._host.watch(Watch(uid, unit, epoch, turn_id, tuple(seen)), waiter)
        if isinstance(found, Turn):
            waiter.watched, self._links[link][stream] = found, waiter
        else:
            link.send(Kind.WATCH, stream, found.value)

    def _frame(self, link: Link, kind: Kind, stream: int, head: Any, body: bytes) -> None:
        waiters = self._links[link]
        if kind is Kind.TURN:
            ask = _ask(head, body)
            waiter = waiters[stream] = FrameWaiter(link, stream, ask.turn.stream, waiters)
            self._host.ask(ask, waiter)
        elif kind is Kind.WATCH:
            self._watch(link, stream, head)
        elif kind is Kind.PEEK:
            link.send(Kind.PEEK, stream, self._host.peek(head))
        elif kind is Kind.RESTART:
            link.send(Kind.RESTART, stream, self._host.restart(*head))
        elif kind is Kind.CANCEL_TURN:
            found = self._host.cancel(*head)
            link.send(Kind.CANCEL_TURN, stream, None if found is None else astuple(found))
        elif (known := waiters.get(stream)) is not None:
            if kind is Kind.CREDIT:
                known.credit(head)
            elif kind is Kind.CANCEL:
                self._leave(known)
                if known.watched is not None:
                    del waiters[stream]  # no answer will come


def _bind(path: Path) -> socket.socket:
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(exist_ok=True, mode=0o700)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    path.chmod(0o600)
    return sock


def turn_head(ask: Ask, timeout_s: float) -> tuple[Any, ...]:
    """The head of a `turn` frame: what `_ask` takes apart."""
    turn = ask.turn
    return (
        ask.uid, ask.unit, ask.epoch, ask.attempt, turn.stream, turn.turn_id, turn.keyed, turn.body_hash, timeout_s,
        turn.expected_turn, turn.cancel_on_disconnect, turn.request_id, turn.kind, *ask.seen, ask.resent,
        ask.losses,
    )  # fmt: skip


def _ask(head: Any, inputs: bytes) -> Ask:
    try:
        uid, unit, epoch, attempt, streams, turn_id, keyed, body_hash, timeout_s, *rest = head
        expected_turn, cancel_on_disconnect, request_id, kind, *seen = rest
        seen_attempt, seen_n, resent, losses = seen
    except (TypeError, ValueError) as error:
        raise FrameError("a turn without a proper head") from error
    turn = TurnRequest(
        turn_id, keyed, body_hash, inputs, timeout_s, expected_turn, cancel_on_disconnect, streams, request_id, kind
    )
    return Ask(uid, unit, epoch, attempt, turn, (seen_attempt, seen_n), resent, losses)


def _bytes(delta: str) -> bytes:
    # A provider may cut a character in two, and half a surrogate pair has no UTF-8.
    return delta.encode(errors="replace")
