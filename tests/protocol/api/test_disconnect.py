"""Clients that leave before their answer."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from dspex_actors.errors import Cancelled
from tests.protocol.api.serving import prepare, run, until, wait
from tests.unit.api.fake_runtime import ADMIN, FakeRuntime

PREDICT = "/v1/sessions/s/predict"


async def leave(client: httpx.AsyncClient, raw: bytes) -> asyncio.StreamWriter:
    """Send these bytes on a connection of their own, which the caller closes."""
    _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(raw)
    await writer.drain()
    return writer


def request(body: bytes, length: int | None = None) -> bytes:
    """A predict request as bytes, with a body shorter than it says where `length` is given."""
    fields = ("Host: x", f"Authorization: Bearer {ADMIN}", f"Content-Length: {length or len(body)}")
    return "\r\n".join((f"POST {PREDICT} HTTP/1.1", *fields, "", "")).encode() + body


def test_a_client_that_leaves_cancels_its_call_and_nothing_remains(caplog: pytest.LogCaptureFixture) -> None:
    """What cancelling means is the runtime's to say; tasks that remained would fail the server's end."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> None:
        await prepare(client)
        runtime.gate = asyncio.Event()
        writer = await leave(client, request(b'{"inputs":{}}'))
        await wait(runtime.started)
        writer.close()
        await wait(runtime.gone)
        runtime.gate.set()
        assert (await client.post(PREDICT, json={"inputs": {}})).status_code == 200

    run(scenario, runtime)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_hundred_clients_that_leave_are_all_noticed() -> None:
    """None is forgotten."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> None:
        await prepare(client)
        runtime.gate = asyncio.Event()
        before = len(asyncio.all_tasks())
        writers = [await leave(client, request(b'{"inputs":{}}')) for _ in range(100)]
        await until(lambda: len(runtime.asked) == 100)
        for writer in writers:
            writer.close()
        await until(lambda: len(asyncio.all_tasks()) == before)

    run(scenario, runtime)


def test_a_client_that_leaves_within_its_body_asks_for_nothing() -> None:
    """Half a body is no request, even where it could be read as one."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> None:
        await prepare(client)
        before = len(asyncio.all_tasks())
        writer = await leave(client, request(b'{"inputs":{}}', length=100))
        await until(lambda: len(asyncio.all_tasks()) > before)
        writer.close()
        await until(lambda: len(asyncio.all_tasks()) == before)
        assert runtime.asked == []

    run(scenario, runtime)


def test_a_runtime_that_answers_a_cancellation_with_an_error_troubles_nobody() -> None:
    """There is nobody to tell."""

    class Deciding(FakeRuntime):
        async def _wait(self) -> None:
            try:
                await super()._wait()
            except asyncio.CancelledError:
                self.gone.set()
                raise Cancelled("The client went away.") from None

    runtime = Deciding()

    async def scenario(client: httpx.AsyncClient) -> None:
        await prepare(client)
        runtime.gate = asyncio.Event()
        writer = await leave(client, request(b'{"inputs":{}}'))
        await wait(runtime.started)
        writer.close()
        await wait(runtime.gone)

    run(scenario, runtime)
