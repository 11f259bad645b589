"""Clients that go away in the middle leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable

import psutil
import pytest

from tests.cluster.sessions.instance import Instance

CLIENTS = 1000
SESSIONS = 200
SLOW = "mock?latency_s=0.3"


@pytest.mark.timeout(180)
def test_a_thousand_clients_that_disconnect_leave_no_socket_and_no_turn(instance: Instance) -> None:
    """No connection of theirs in the replica after a second; when their turns have ended, none in flight."""
    for number in range(SESSIONS):
        made = instance.call("POST", "/v1/sessions", {"program": "qa", "id": f"gone-{number}", "lm": SLOW})
        assert made[0] == 201, made
    replica = _replica(instance)
    before = len(replica.net_connections("tcp"))
    asyncio.run(_come_and_go(instance))
    _wait(lambda: len(replica.net_connections("tcp")) <= before + 2, 1.0)
    _wait(lambda: _in_flight(instance) == 0, 60.0)
    turns = [instance.call("GET", f"/v1/sessions/gone-{number}")[1]["turns"] for number in range(SESSIONS)]
    assert CLIENTS // 2 <= sum(turns) <= CLIENTS


async def _come_and_go(instance: Instance) -> None:
    """Every other one streams and goes when its turn has started, the rest go while theirs waits or runs."""
    await asyncio.gather(*(_visit(instance, number) for number in range(CLIENTS)))


async def _visit(instance: Instance, number: int) -> None:
    body = json.dumps({"inputs": {"question": str(number)}})
    accept = "text/event-stream" if number % 2 else "application/json"
    reader, writer = await asyncio.open_connection("127.0.0.1", instance.port)
    writer.write(
        f"POST /v1/sessions/gone-{number % SESSIONS}/predict HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n"
        f"Authorization: Bearer {instance.key}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    await writer.drain()
    if number % 2:
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"  # its turn has started
    else:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.readline(), 0.2)  # shorter than any turn
    writer.transport.abort()


def _replica(instance: Instance) -> psutil.Process:
    """The API replica: the process of this instance that listens where HAProxy sends requests."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mine = process.environ().get("DSPEX_HOME") == str(instance.home)
            if mine and any("ServeReplica" in part for part in process.cmdline()):
                return process
    raise AssertionError("no replica found")


def _in_flight(instance: Instance) -> int:
    return sum(int(node.get("in_flight", 0)) for node in instance.nodes("host"))


def _wait(condition: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
