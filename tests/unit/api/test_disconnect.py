"""The watch over a client that may go away."""

from __future__ import annotations

import asyncio

import pytest

from dspex_actors.api.app import create_app
from dspex_actors.api.asgi import Message
from dspex_actors.api.disconnect import ClientWatch
from dspex_actors.errors import Cancelled
from tests.unit.api.fake_runtime import ADMIN, FakeRuntime


async def stays() -> Message:
    """A client that never goes."""
    await asyncio.Event().wait()
    raise AssertionError


async def goes() -> Message:
    """A client that has gone."""
    return {"type": "http.disconnect"}


def test_a_client_that_stays_leaves_no_listener_behind() -> None:
    """One turn of the loop after the block, only the caller is left."""

    async def scenario() -> int:
        with ClientWatch(stays) as client:
            await asyncio.sleep(0)
        assert not client.gone
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert asyncio.run(scenario()) == 1


@pytest.mark.parametrize("error", [None, Cancelled("The client went away.")])
def test_the_block_of_a_client_that_goes_ends_quietly(error: Exception | None) -> None:
    """Whether it lets the cancellation through or turns it into an error; the task goes on uncancelled."""

    async def scenario() -> tuple[bool, int]:
        with ClientWatch(goes) as client:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if error is None:
                    raise
                raise error from None
        return client.gone, asyncio.current_task().cancelling()  # type: ignore[union-attr]

    assert asyncio.run(scenario()) == (True, 0)


def test_a_cancellation_from_elsewhere_passes_through() -> None:
    """The server that stops is not the client that goes."""

    async def guarded() -> None:
        with ClientWatch(stays):
            await asyncio.Event().wait()

    async def scenario() -> None:
        task = asyncio.create_task(guarded())
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scenario())


def test_a_stream_whose_client_goes_while_it_is_written_to_is_closed_at_once() -> None:
    """The events wait between two of them then, not in the runtime: closing must reach them there."""
    runtime, sending = FakeRuntime(), asyncio.Event()
    runtime.sessions["s"], runtime.turns_of["s"] = {}, []
    headers = [(b"authorization", f"Bearer {ADMIN}".encode()), (b"accept", b"text/event-stream")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/sessions/s/predict",
        "query_string": b"",
        "headers": headers,
    }
    body = iter([{"type": "http.request", "body": b'{"inputs":{}}'}])

    async def receive() -> Message:
        for message in body:
            return message
        await sending.wait()
        return await goes()

    async def send(message: Message) -> None:
        sending.set()
        await asyncio.Event().wait()

    async def scenario() -> bool:
        await asyncio.wait_for(create_app(runtime)(scope, receive, send), 10)
        return runtime.gone.is_set()

    assert asyncio.run(scenario())
