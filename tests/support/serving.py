"""The real thing without Ray, behind a real socket: `dx.local()`, its HTTP application, uvicorn in a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from dspex_actors.api.app import create_app
from dspex_actors.embedded.local import LocalRuntime, local
from dspex_actors.resources.key import ApiKey, Scope, hash_secret, new_secret

WAIT_S = 30.0


@dataclass(slots=True)
class Served:
    """A served runtime: its address, and the secret of an admin key."""

    url: str
    key: str = field(repr=False)
    local: LocalRuntime

    def new_key(self, *scopes: Scope) -> str:
        """The secret of a further key with these scopes."""
        return add_key(self.local, scopes)


@contextmanager
def served(programs: Mapping[str, Any] | None = None, **options: Any) -> Iterator[Served]:
    """Serve `dx.local(programs, **options)` on a free port of the loopback interface until the block ends."""
    ready: Future[Served] = Future()
    stop = threading.Event()
    thread = threading.Thread(target=_run, args=(programs, options, ready, stop), name="served")
    thread.start()
    try:
        yield ready.result(WAIT_S)
    finally:
        stop.set()
        thread.join(WAIT_S)
    assert not thread.is_alive(), "the server did not stop"


def add_key(runtime: LocalRuntime, scopes: tuple[Scope, ...]) -> str:
    """Put a key into the runtime's store; its secret."""
    secret = new_secret()
    runtime.store.put_key(ApiKey(f"key-{hash_secret(secret)[:8]}", hash_secret(secret), "default", scopes, None, 0))
    return secret


def listen() -> socket.socket:
    """A listening socket on a free port. asyncio turns Nagle's wait of 40 ms off only where the protocol is named."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def _run(
    programs: Mapping[str, Any] | None, options: dict[str, Any], ready: Future[Served], stop: threading.Event
) -> None:
    try:
        asyncio.run(_serve(programs, options, ready, stop))
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)


async def _serve(
    programs: Mapping[str, Any] | None, options: dict[str, Any], ready: Future[Served], stop: threading.Event
) -> None:
    async with local(programs=programs, **options) as runtime:
        listener = listen()
        config = uvicorn.Config(
            create_app(runtime.runtime), log_config=None, lifespan="on", timeout_graceful_shutdown=5
        )
        server = uvicorn.Server(config)
        server.capture_signals = _no_signals  # type: ignore[method-assign]
        running = asyncio.create_task(server.serve(sockets=[listener]))
        port = listener.getsockname()[1]
        ready.set_result(Served(f"http://127.0.0.1:{port}", add_key(runtime, ("admin",)), runtime))
        await asyncio.to_thread(stop.wait)
        server.should_exit = True
        await running
        listener.close()


@contextmanager
def _no_signals() -> Iterator[None]:
    """Only the main thread may handle signals."""
    yield
