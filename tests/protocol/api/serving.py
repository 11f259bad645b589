"""The application behind a real socket, and the runtimes that it is served over."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import uvicorn

from dspex_actors.api.app import create_app
from dspex_actors.api.runtime import Runtime
from dspex_actors.embedded.local import local
from tests.support.serving import add_key
from tests.unit.api.fake_runtime import ADMIN, FakeRuntime

WAIT_S = 10.0
Scenario = Callable[[httpx.AsyncClient], Awaitable[Any]]
Opened = Callable[[], AbstractAsyncContextManager[tuple[Runtime, str]]]


class Server(uvicorn.Server):
    """Uvicorn without its waits of 0.1 s: it stops when it is told to and its connections have ended."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stop = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait to be told."""
        await self.stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and let what is under way end by itself."""
        for listening in self.servers:
            listening.close()
        await until(lambda: not self.server_state.connections and not self.server_state.tasks)
        await self.lifespan.shutdown()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds; fail when it does not within 10 s."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


@asynccontextmanager
async def in_memory() -> AsyncIterator[tuple[Runtime, str]]:
    """The fake runtime and its admin key."""
    yield FakeRuntime(), ADMIN


@asynccontextmanager
async def embedded() -> AsyncIterator[tuple[Runtime, str]]:
    """The real runtime, in this process."""
    async with local() as runtime:
        yield runtime.runtime, add_key(runtime, ("admin",))


RUNTIMES: dict[str, Opened] = {"fake": in_memory, "embedded": embedded}
"""The runtimes that the resource tests run over, by name: each gives a runtime and an admin key of it."""


@asynccontextmanager
async def serving(
    runtime: Runtime, key: str | None = ADMIN, *, keep_alive_s: float = 15.0, access_log: bool = False
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application on a free port; afterwards no task of the server remains."""
    before = asyncio.all_tasks()
    # asyncio turns Nagle's algorithm off for sockets that say that they are TCP only.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(200)
    app = create_app(runtime, keep_alive_s=keep_alive_s)
    config = uvicorn.Config(app, log_config=None, access_log=access_log, lifespan="on")
    server = Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    port = listener.getsockname()[1]
    try:
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=WAIT_S, verify=False) as client:
            await client.get("/livez")
            yield client
    finally:
        server.stop.set()
        await running
        listener.close()
    await until(lambda: asyncio.all_tasks() <= before)


def run(scenario: Scenario, runtime: Runtime | None = None, key: str | None = ADMIN, **options: Any) -> Any:
    """Run a scenario against a served runtime, by default one that has the program `qa` and the session `s`."""

    async def whole() -> Any:
        async with serving(runtime or FakeRuntime(), key, **options) as client:
            if runtime is None and key == ADMIN:
                await prepare(client)
            return await scenario(client)

    return asyncio.run(whole())


async def prepare(client: httpx.AsyncClient) -> None:
    """Create the program `qa` and the session `s`."""
    program = {"name": "qa", "signature": "question -> answer"}
    assert (await client.post("/v1/programs", json=program)).status_code == 201
    assert (await client.post("/v1/sessions", json={"program": "qa", "id": "s"})).status_code == 201


async def wait(event: asyncio.Event) -> None:
    """Wait for an event that must come."""
    await asyncio.wait_for(event.wait(), WAIT_S)
