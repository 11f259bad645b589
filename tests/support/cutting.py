"""A TCP proxy that loses an answer: it passes everything on, until it cuts a connection at a chosen word."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class CuttingProxy:
    """Before a port of this machine. `lose_answer_to` and `lose` each cut one connection, then all is as before."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self._answer_lost: bytes | None = None
        self._lost: bytes | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answer_to(self, word: bytes) -> None:
        """Hand the next message with this word on, and cut the connection when its answer comes."""
        self._answer_lost = word

    def lose(self, word: bytes) -> None:
        """Cut the connection instead of handing on the next message with this word."""
        self._lost = word

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            deaf = threading.Event()
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target, client, deaf), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, client: socket.socket, deaf: threading.Event) -> None:
        try:
            while data := source.recv(65536):
                if source is client:
                    self._listen(data, deaf)
                elif deaf.is_set():
                    self.cuts += 1
                    break
                target.sendall(data)
        except (OSError, ConnectionAbortedError):
            pass
        for end in (source, target):
            _close(end)

    def _listen(self, data: bytes, deaf: threading.Event) -> None:
        if self._lost is not None and self._lost in data:
            self._lost = None
            self.cuts += 1
            raise ConnectionAbortedError
        if self._answer_lost is not None and self._answer_lost in data:
            self._answer_lost = None
            deaf.set()


def _close(end: socket.socket) -> None:
    """Close it, also for the thread that waits in it."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def cutting(port: int) -> Iterator[CuttingProxy]:
    """A proxy until the block ends."""
    proxy = CuttingProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
