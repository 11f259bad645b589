"""A served instance whose store is PostgreSQL: hosts are killed, the server is restarted, nothing is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.sessions.conftest import QA
from tests.cluster.sessions.instance import Instance, Json
from tests.support.postgres import PostgresServer, postgres_server

PASSWORD = "hush-hush"
ROWS = "SELECT s.id, j.turn_id, j.turn FROM journal j JOIN session s ON s.uid = j.uid ORDER BY s.id, j.seq"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A real PostgreSQL with an empty database of a role that needs its password."""
    with postgres_server() as running:
        running.add_role("ann", PASSWORD)
        running.execute("CREATE DATABASE sessions OWNER ann")
        yield running


@pytest.fixture(scope="module")
def instance(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A ready instance with the program `qa`, stopped in the end."""
    folder: Path = tmp_path_factory.mktemp("postgres")
    url = f"postgresql://ann:{PASSWORD}@127.0.0.1:{server.port}/sessions"
    served = Instance(folder / "home", DSPEX_STORE_URL=url)
    served.start()
    try:
        assert served.call("POST", "/v1/programs", QA)[0] == 201
        yield served
    finally:
        served.stop()


def ask(instance: Instance, session: str, question: str, key: str) -> tuple[int, Json]:
    """One turn."""
    body = {"inputs": {"question": question}}
    return instance.call("POST", f"/v1/sessions/{session}/predict", body, Idempotency_Key=key)


def open_session(instance: Instance, session: str) -> None:
    """Create it."""
    assert instance.call("POST", "/v1/sessions", {"program": "qa", "id": session})[0] == 201


def test_after_kill_9_of_its_host_a_session_sees_its_past(instance: Instance, server: PostgresServer) -> None:
    """The store is PostgreSQL indeed, and the home holds no other."""
    open_session(instance, "bob")
    assert ask(instance, "bob", "before", "1")[0] == 200
    instance.wait_nodes("standby")
    (host,) = instance.nodes("host")
    ports = psutil.Process(host["pid"]).net_connections("tcp")
    assert len([each for each in ports if each.status == "LISTEN"]) == 1  # Ray's own: there is one node
    os.kill(host["pid"], signal.SIGKILL)
    status, body = ask(instance, "bob", "now", "2")
    assert (status, "after 'before'" in body["outputs"]["answer"]) == (200, True)
    assert server.execute(ROWS, "sessions") == [("bob", "1", 1), ("bob", "2", 2)]
    assert not list(instance.home.glob("*sqlite*"))


def test_a_restart_of_postgresql_loses_no_acknowledged_turn(instance: Instance, server: PostgresServer) -> None:
    """Meanwhile turns wait or are told `store_unavailable`; afterwards all goes on by itself."""
    open_session(instance, "eve")
    acknowledged: list[tuple[str, str, int]] = []
    refused: set[str] = set()
    enough = threading.Event()
    asking = threading.Thread(target=_ask_on, args=(instance, acknowledged, refused, enough))
    asking.start()
    _wait_for(asking, acknowledged, 20)
    server.crash()
    status, told = instance.call("GET", "/v1/sessions/eve")
    assert (status, told["code"]) == (503, "store_unavailable")
    assert not instance.is_ready()
    server.start()
    _wait_for(asking, acknowledged, len(acknowledged) + 20)
    enough.set()
    asking.join(60)
    assert refused <= {"store_unavailable", "outcome_unknown"}
    recorded = server.execute(ROWS.replace("ORDER", "WHERE s.id = 'eve' ORDER"), "sessions")
    assert [turn for _, _, turn in recorded] == list(range(1, len(recorded) + 1))
    assert [row for row in acknowledged if recorded.count(row) != 1] == []


def test_no_file_of_the_instance_holds_the_password(instance: Instance) -> None:
    """Neither a log nor what is kept; nor does a command line."""
    files = [path for path in instance.home.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
    assert instance.processes(PASSWORD) == []
    assert len(files) > 5


def _ask_on(
    instance: Instance, acknowledged: list[tuple[str, str, int]], refused: set[str], enough: threading.Event
) -> None:
    """Turn after turn; one that was not answered well is sent again, with its key."""
    number = 0
    while not enough.is_set():
        number += 1
        deadline = time.monotonic() + 60
        while (found := ask(instance, "eve", f"question {number}", f"eve.{number}"))[0] != 200:
            refused.add(found[1]["code"])
            assert time.monotonic() < deadline
        acknowledged.append(("eve", f"eve.{number}", found[1]["turn"]))


def _wait_for(asking: threading.Thread, acknowledged: list[tuple[str, str, int]], count: int) -> None:
    deadline = time.monotonic() + 60
    while len(acknowledged) < count:
        assert asking.is_alive()
        assert time.monotonic() < deadline
        asking.join(0.05)
