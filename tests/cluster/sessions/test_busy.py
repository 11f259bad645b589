"""Busy sessions and cancelled turns on real processes, one of which is killed."""

from __future__ import annotations

import os
import signal
import threading
import time

from tests.cluster.sessions.instance import Instance, Json

Answers = list[tuple[int, Json]]


def begin(instance: Instance, session: str, key: str) -> tuple[threading.Thread, Answers]:
    """A turn in a thread, and where its answer will be."""
    answers: Answers = []
    path, body = f"/v1/sessions/{session}/predict", {"inputs": {"question": key}}

    def ask() -> None:
        answers.append(instance.call("POST", path, body, **{"Idempotency-Key": key}))

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + 20
    while instance.call("GET", f"/v1/sessions/{session}")[1]["status"] != "busy":
        assert time.monotonic() < deadline
    return thread, answers


def end(thread: threading.Thread, answers: Answers) -> tuple[int, Json]:
    """The turn's answer."""
    thread.join(60)
    return answers[0]


def test_a_turn_on_a_host_is_cancelled_by_anybody_with_its_sessions_name(instance: Instance) -> None:
    """At once; its key tells, also after its session has left memory."""
    instance.call("POST", "/v1/sessions", {"program": "qa", "id": "stop", "lm": "mock?latency_s=30"})
    turn = begin(instance, "stop", "t1")
    assert instance.call("POST", "/v1/sessions/stop/cancel")[1]["cancelled"] == ["t1"]
    status, problem = end(*turn)
    assert (status, problem["code"]) == (409, "cancelled")
    assert instance.call("POST", "/v1/sessions/stop/restart")[0] == 200
    assert instance.call("POST", "/v1/sessions/stop/cancel", {"turn_id": "t1"})[1]["cancelled"] == ["t1"]


def test_a_session_that_rejects_keeps_the_turn_that_it_let_in_when_its_host_is_killed(instance: Instance) -> None:
    """Its client sees one slow answer; others are refused before and after."""
    made = {"program": "qa", "id": "one", "lm": "mock?latency_s=2", "on_busy": "reject"}
    assert instance.call("POST", "/v1/sessions", made)[1]["on_busy"] == "reject"
    instance.wait_nodes("standby")
    turn = begin(instance, "one", "t1")
    body = {"inputs": {"question": "me too"}}
    assert instance.call("POST", "/v1/sessions/one/predict", body)[1]["code"] == "session_busy"
    os.kill(int(instance.wait_nodes("host")[0]["pid"]), signal.SIGKILL)
    status, answer = end(*turn)
    assert (status, answer.get("turn"), answer.get("attempts")) == (200, 1, 2)
    assert instance.call("POST", "/v1/sessions/one/predict", body)[1]["turn"] == 2
