"""Sessions move and hosts are drained under load: nobody is refused, and nothing is lost, whoever dies meanwhile."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.cluster.sessions.instance import Instance, Json
from tests.cluster.sessions.pace import Pace, paced
from tests.cluster.sessions.test_busy import begin, end

MOVES = 20
WAIT_S = 30.0
PAUSE_MS = 1000
"""Of a busy machine; what a move costs on a quiet one, `benchmarks.moves` measures."""
SLOW = "mock?latency_s=6"
SOON_S, A_WHILE_S = 0.3, 2.0


def owner(instance: Instance) -> Json:
    """The host that has the shards."""
    return max(instance.wait_nodes("host"), key=lambda host: int(host["shards"]))


def drain(instance: Instance, host: Json, timeout_s: float = WAIT_S) -> Json:
    """Ask for it; the answer."""
    status, drained = instance.call("POST", f"/v1/hosts/{host['id']}/drain", X_Request_Timeout=str(timeout_s))
    assert status == 200, drained
    return drained


def wait_replaced(instance: Instance, host: Json) -> None:
    """Until the process of a host has ended, and another one is ready in its place."""
    deadline = time.monotonic() + WAIT_S
    while psutil.pid_exists(host["pid"]):
        assert time.monotonic() < deadline
    while host["id"] not in [node["id"] for node in instance.nodes("standby")]:
        assert time.monotonic() < deadline


def wait_on(instance: Instance, session: str, host: str) -> None:
    """Until the API replica has heard that the session is there."""
    deadline = time.monotonic() + WAIT_S
    while instance.call("GET", f"/v1/sessions/{session}")[1]["host"] != host:
        assert time.monotonic() < deadline


def migrate_some(instance: Instance, pace: Pace) -> list[float]:
    """Moves, one after the other, to where there is room; the pauses in ms."""
    pauses = []
    for session in pace.sessions[:MOVES]:
        status, moved = instance.call("POST", f"/v1/sessions/{session}/migrate")
        assert status == 200, moved
        assert moved["from"] != moved["to"]
        wait_on(instance, session, moved["to"])
        pauses.append(moved["pause_ms"])
    return pauses


@pytest.mark.timeout(300)
def test_sessions_move_and_hosts_are_drained_under_load(instance: Instance) -> None:
    """Twice; the process of a drained host ends, and another one is started in its place."""
    instance.wait_nodes("standby")
    with paced(instance, "moved") as pace:
        for _ in range(2):
            pauses = migrate_some(instance, pace)
            assert statistics.median(pauses) < PAUSE_MS
            host = owner(instance)
            drained = drain(instance, host)
            assert (drained["host"], drained["status"], drained["left"]) == (host["name"], "drained", 0)
            assert drained["moved"] >= 1024
            wait_replaced(instance, host)
            assert host["name"] not in [node["name"] for node in instance.nodes("host")]


def test_a_host_that_has_a_session_of_its_own_is_no_standby(instance: Instance) -> None:
    """The tree says so; back home, it is one again."""
    assert instance.call("POST", "/v1/sessions", {"program": "qa", "id": "pin"})[0] == 201
    host, standby = owner(instance), instance.wait_nodes("standby")[0]
    moved = instance.call("POST", "/v1/sessions/pin/migrate", {"host": standby["id"]})[1]
    assert (moved["from"], moved["to"]) == (host["name"], standby["name"])
    assert instance.call("POST", "/v1/sessions/pin/predict", {"inputs": {"question": "?"}})[0] == 200
    assert standby["id"] in [node["id"] for node in instance.nodes("host")]
    assert instance.call("POST", "/v1/sessions/pin/migrate", {"host": host["name"]})[1]["to"] == host["name"]
    assert standby["id"] in [node["id"] for node in instance.wait_nodes("standby")]


def test_a_session_of_its_own_outlives_a_host_that_had_nothing_else(instance: Instance) -> None:
    """It is its shard's again, and its next turn is answered there."""
    assert instance.call("POST", "/v1/sessions", {"program": "qa", "id": "alone"})[0] == 201
    standby = instance.wait_nodes("standby")[0]
    assert instance.call("POST", "/v1/sessions/alone/migrate", {"host": standby["id"]})[0] == 200
    assert instance.call("POST", "/v1/sessions/alone/predict", {"inputs": {"question": "1"}})[0] == 200
    os.kill(standby["pid"], signal.SIGKILL)
    status, answer = instance.call("POST", "/v1/sessions/alone/predict", {"inputs": {"question": "2"}, "timeout_s": 30})
    assert (status, answer.get("turn")) == (200, 2), answer


def test_the_example_of_moving_runs(instance: Instance) -> None:
    """To and fro, under a session that is asked."""
    own = {"DSPEX_PORT": str(instance.port), "DSPEX_API_KEY": instance.key}
    command = [sys.executable, str(Path(__file__).parents[3] / "examples/moving.py")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **own}, timeout=60)
    assert done.returncode == 0, done.stderr
    *moves, last = done.stdout.splitlines()
    assert moves
    assert last == "50 turns, in order and without a gap: True"


def test_what_cannot_be_moved_is_answered_with_a_sentence(instance: Instance) -> None:
    """No such host, no such session."""
    for path, body in (
        ("/v1/hosts/none/drain", None),
        ("/v1/sessions/none/migrate", None),
        ("/v1/sessions/moved-0/migrate", {"host": "none"}),
    ):
        status, problem = instance.call("POST", path, body)
        assert (status, problem["code"]) == (404, "not_found")
    assert "these live: host#" in problem["detail"]


@pytest.mark.timeout(120)
def test_a_busy_session_stays_until_its_turn_has_ended(instance: Instance) -> None:
    """Others have left; its turn is answered once, at its first attempt; then the host goes."""
    assert instance.call("POST", "/v1/sessions", {"program": "qa", "id": "long", "lm": SLOW})[0] == 201
    instance.wait_nodes("standby")
    with paced(instance, "beside") as pace:
        turn = begin(instance, "long", "t1")
        status, problem = instance.call("POST", "/v1/sessions/long/migrate", X_Request_Timeout=str(SOON_S))
        assert (status, problem["code"]) == (503, "session_busy")
        host = owner(instance)
        drained = drain(instance, host, A_WHILE_S)
        assert (drained["status"], drained["left"]) == ("draining", 1)
        (heir,) = instance.wait_nodes("host")
        wait_on(instance, pace.sessions[0], heir["name"])
        wait_on(instance, "long", host["name"])
        status, answer = end(*turn)
        assert (status, answer["turn"], answer["attempts"]) == (200, 1, 1)
        wait_replaced(instance, host)
    wait_on(instance, "long", owner(instance)["name"])


@pytest.mark.timeout(120)
def test_a_drain_goes_on_when_placement_is_killed(instance: Instance) -> None:
    """The host knows that it is on its way out, and tells the next one."""
    assert instance.call("POST", "/v1/sessions", {"program": "qa", "id": "stays", "lm": SLOW})[0] == 201
    instance.wait_nodes("standby")
    with paced(instance, "orphaned"):
        turn = begin(instance, "stays", "t1")
        host = owner(instance)
        assert drain(instance, host, A_WHILE_S)["left"] == 1
        os.kill(int(instance.wait_nodes("placement")[0]["pid"]), signal.SIGKILL)
        status, answer = end(*turn)
        assert (status, answer["turn"], answer["attempts"]) == (200, 1, 1)
        wait_replaced(instance, host)


@pytest.mark.timeout(120)
def test_a_session_is_found_when_it_moved_after_the_placement_that_asked_for_it_was_killed(instance: Instance) -> None:
    """The next placement has read the store before: its host tells it."""
    assert instance.call("POST", "/v1/sessions", {"program": "qa", "id": "late", "lm": SLOW})[0] == 201
    instance.wait_nodes("standby")
    turn = begin(instance, "late", "t1")
    asked = threading.Thread(target=instance.call, args=("POST", "/v1/sessions/late/migrate"))
    asked.start()
    placement = instance.wait_nodes("placement")[0]
    os.kill(int(placement["pid"]), signal.SIGKILL)
    assert end(*turn)[1]["turn"] == 1
    body = {"inputs": {"question": "where are you?"}, "timeout_s": 20}
    status, answer = instance.call("POST", "/v1/sessions/late/predict", body)
    assert (status, answer["turn"]) == (200, 2)
    asked.join(WAIT_S)
    home = {"host": owner(instance)["id"]}
    assert instance.call("POST", "/v1/sessions/late/migrate", home)[0] == 200  # so that there is a standby again


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", ["source", "placement"])
def test_a_kill_in_the_middle_of_a_handover_loses_nothing(instance: Instance, part: str) -> None:
    """At several moments of it; whoever asked for the drain may have to ask again."""
    with paced(instance, f"killed-{part}"):
        for moment in range(3):
            instance.wait_nodes("standby")
            host = owner(instance)
            victim = host if part == "source" else instance.wait_nodes("placement")[0]
            asked = threading.Thread(target=instance.call, args=("POST", f"/v1/hosts/{host['id']}/drain"))
            asked.start()
            asked.join(moment * 0.02)
            os.kill(int(victim["pid"]), signal.SIGKILL)
            asked.join(WAIT_S)
            drain_if_there(instance, host)
            wait_replaced(instance, host)


def drain_if_there(instance: Instance, host: Json) -> None:
    """Ask again, unless the first call came through."""
    deadline = time.monotonic() + WAIT_S
    while psutil.pid_exists(host["pid"]):
        if instance.call("POST", f"/v1/hosts/{host['id']}/drain", X_Request_Timeout=str(SOON_S))[0] == 404:
            return
        assert time.monotonic() < deadline
