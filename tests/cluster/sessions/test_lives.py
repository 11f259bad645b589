"""What a new user does first, and what an operator fears: restarts, kills of each part, bad input."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.cluster.sessions.conftest import QA
from tests.cluster.sessions.instance import Instance, Json
from tests.cluster.sessions.storm import Notes, check_journal


def ask(instance: Instance, session: str, question: str, **headers: str) -> tuple[int, Json]:
    """One turn."""
    return instance.call("POST", f"/v1/sessions/{session}/predict", {"inputs": {"question": question}}, **headers)


def answer(instance: Instance, session: str, question: str, **headers: str) -> str:
    """The text of one turn that must go well."""
    status, body = ask(instance, session, question, **headers)
    assert status == 200, body
    text: str = body["outputs"]["answer"]
    return text


def open_session(instance: Instance, session: str, **more: str) -> None:
    """Create it."""
    assert instance.call("POST", "/v1/sessions", {"program": "qa", "id": session, **more})[0] == 201


def kill_node(instance: Instance, kind: str) -> None:
    """SIGKILL the process of that part of the tree."""
    os.kill(_pid(instance, kind), signal.SIGKILL)


def _pid(instance: Instance, node_id: str) -> int:
    _, tree = instance.call("GET", "/v1/tree")
    nodes = [tree, *tree["children"]]
    return int(next(node["pid"] for node in nodes if node["id"] == node_id) or 0)


def wait_busy(instance: Instance, session: str) -> None:
    """Until a turn of the session runs."""
    deadline = time.monotonic() + 20
    while instance.call("GET", f"/v1/sessions/{session}")[1]["status"] != "busy":
        assert time.monotonic() < deadline


def ask_until_served(instance: Instance, session: str, question: str, **headers: str) -> tuple[int, Json]:
    """One turn, asked again while nobody is there to answer."""
    deadline = time.monotonic() + 60
    while True:
        try:
            status, body = ask(instance, session, question, **headers)
            if status < 500:
                return status, body
        except (OSError, ValueError):  # the front's own answers are no JSON
            pass
        assert time.monotonic() < deadline


def note_turns(instance: Instance, session: str, notes: Notes) -> None:
    """Ask until nobody answers; note what was acknowledged."""
    number = 0
    while True:
        number += 1
        try:
            status, body = ask(instance, session, f"question {number}", Idempotency_Key=f"{session}.{number}")
        except (OSError, ValueError):
            return
        if status != 200:
            return
        notes.acknowledged.append((session, f"{session}.{number}", body["turn"]))


def wait_back(instance: Instance, part: str, killed: int) -> None:
    """Until the tree shows that part with another process."""
    deadline = time.monotonic() + 60
    while instance.call("GET", "/v1/tree")[0] != 200 or _pid(instance, part) in (0, killed):
        assert time.monotonic() < deadline


def test_the_second_turn_saw_the_first(instance: Instance) -> None:
    """The conversation is state; the client sends none of it."""
    open_session(instance, "alice")
    assert "earlier turns shown: 0" in answer(instance, "alice", "What is 2+2?")
    second = answer(instance, "alice", "And 3+3?")
    assert "earlier turns shown: 1" in second
    assert "What is 2+2?" in second


def test_a_killed_host_costs_a_moment_and_no_memory(instance: Instance) -> None:
    """The standby has the session's past."""
    open_session(instance, "bob")
    answer(instance, "bob", "before")
    instance.wait_nodes("standby")
    (host,) = instance.nodes("host")
    os.kill(host["pid"], signal.SIGKILL)
    assert "after 'before'" in answer(instance, "bob", "now")
    assert instance.call("GET", "/v1/sessions/bob")[1]["epoch"] > 1


def test_a_rewind_outlives_its_host(instance: Instance) -> None:
    """Acknowledged before the kill, it is there after it, under its key; and so is a fork."""
    open_session(instance, "rita")
    for question in ("first", "second", "third"):
        answer(instance, "rita", question)
    status, rewound = instance.call("POST", "/v1/sessions/rita/rewind", {"to_turn": 1}, Idempotency_Key="back")
    assert (status, rewound["next_turn"]) == (200, 4)
    assert instance.call("POST", "/v1/sessions/rita/fork", {"at_turn": 2, "id": "rita-2"})[0] == 201
    instance.wait_nodes("standby")
    (host,) = instance.nodes("host")
    os.kill(host["pid"], signal.SIGKILL)
    assert "earlier turns shown: 1) after 'first'" in answer(instance, "rita", "fourth")
    again = instance.call("POST", "/v1/sessions/rita/rewind", {"to_turn": 1}, Idempotency_Key="back")
    assert again == (200, rewound)
    assert "after 'first', 'second'" in answer(instance, "rita-2", "other")


def test_variables_and_a_binding_outlive_their_host(instance: Instance) -> None:
    """Acknowledged before the kill, they are there after it, each under its key; snapshots were written on the way."""
    declare = {"level": {"type": "int", "default": 1}}
    body = {"program": "qa", "id": "vera", "declare": declare}
    assert instance.call("POST", "/v1/sessions", body)[0] == 201
    put = ("PUT", "/v1/sessions/vera/variables/level", {"value": 7})
    status, first = instance.call(*put, Idempotency_Key="seven")
    assert (status, first["values"]) == (200, {"level": 7})
    patched = ("PATCH", "/v1/sessions/vera", {"version_policy": "follow", "lm": "mock"})
    assert instance.call(*patched, Idempotency_Key="bound")[0] == 200
    for number in range(120):
        answer(instance, "vera", f"question {number}")
    instance.wait_nodes("standby")
    (host,) = instance.nodes("host")
    os.kill(host["pid"], signal.SIGKILL)
    assert "after" in answer(instance, "vera", "now")
    shown = instance.call("GET", "/v1/sessions/vera/variables")[1]
    assert (shown["variables"]["level"]["value"], shown["seq"]) == (7, first["seq"])
    assert instance.call(*put, Idempotency_Key="seven") == (200, first)
    session = instance.call("GET", "/v1/sessions/vera")[1]
    assert (session["version_policy"], session["lm"], session["turns"]) == ("follow", "mock", 121)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_turn_that_was_running_on_a_killed_or_hung_host_runs_again(instance: Instance, how: signal.Signals) -> None:
    """The client sees a slow answer; the journal holds one turn, with two attempts. The host is gone either way."""
    session = f"carol-{how.name}"
    open_session(instance, session, lm="mock?latency_s=2")
    instance.wait_nodes("standby")
    found: list[tuple[int, Json]] = []
    client = threading.Thread(target=lambda: found.append(ask(instance, session, "slow", Idempotency_Key="k1")))
    client.start()
    wait_busy(instance, session)
    (host,) = instance.nodes("host")
    os.kill(host["pid"], how)
    client.join(60)
    status, body = found[0]
    assert (status, body["attempts"], body["turn"]) == (200, 2, 1)
    _, turns = instance.call("GET", f"/v1/sessions/{session}/turns")
    assert len(turns["items"]) == 1
    assert not Path(f"/proc/{host['pid']}").exists()


@pytest.mark.parametrize("part", ["placement", "hosts", "root"])
def test_a_killed_supervisor_comes_back_and_nothing_is_lost(instance: Instance, part: str) -> None:
    """Turns wait meanwhile; the next answer has the past."""
    session = f"dave-{part}"
    open_session(instance, session)
    answer(instance, session, "before")
    pid = _pid(instance, part)
    os.kill(pid, signal.SIGKILL)
    assert "after 'before'" in answer(instance, session, "now")
    wait_back(instance, part, pid)
    instance.wait_nodes("standby")


@pytest.mark.parametrize("part", ["placement", "hosts", "root"])
def test_no_request_notices_that_a_supervisor_was_killed(instance: Instance, part: str) -> None:
    """Under load: every turn is answered at its first attempt, by the very host that was there before."""
    session = f"ivy-{part}"
    open_session(instance, session)
    instance.wait_nodes("standby")
    hosts = {node["pid"] for kind in ("host", "standby") for node in instance.nodes(kind)}
    answers: list[tuple[int, Json]] = []
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            answers.append(ask(instance, session, "again"))

    client = threading.Thread(target=load)
    client.start()
    killed = _pid(instance, part)
    os.kill(killed, signal.SIGKILL)
    wait_back(instance, part, killed)
    instance.wait_nodes("standby")
    done.set()
    client.join(60)
    assert {(status, body.get("attempts")) for status, body in answers} == {(200, 1)}
    assert {node["pid"] for kind in ("host", "standby") for node in instance.nodes(kind)} == hosts


def test_after_a_restart_the_third_turn_sees_both(instance: Instance) -> None:
    """SIGTERM, start again: everything is as it was."""
    open_session(instance, "erin")
    answer(instance, "erin", "one")
    answer(instance, "erin", "two")
    assert instance.stop() == 0
    instance.start()
    third = answer(instance, "erin", "three")
    assert "earlier turns shown: 2" in third


def test_after_kill_9_the_next_start_finds_everything(instance: Instance) -> None:
    """The serving process is killed; the next start sweeps what it left."""
    open_session(instance, "frank")
    answer(instance, "frank", "one")
    instance.kill()
    instance.start()
    assert "after 'one'" in answer(instance, "frank", "two")


def test_a_killed_api_replica_loses_connections_and_nothing_else(instance: Instance) -> None:
    """The turn that it was waiting for is in the journal once; its key gives the answer from the next replica."""
    open_session(instance, "gail", lm="mock?latency_s=1")
    told: list[object] = []

    def slow() -> None:
        try:
            status, body = ask(instance, "gail", "slow", Idempotency_Key="k1")
            told.append((status, body["code"], body["retryable"]))
        except OSError:
            told.append("nothing")

    client = threading.Thread(target=slow)
    client.start()
    wait_busy(instance, "gail")
    (replica,) = instance.processes("ServeReplica")
    replica.kill()
    client.join(60)
    assert told[0] in ("nothing", (504, "outcome_unknown", True)), "the answer was lost with the replica"
    status, body = ask_until_served(instance, "gail", "slow", Idempotency_Key="k1")
    assert (status, body["turn"], body["turn_id"]) == (200, 1, "k1")
    assert "after 'slow'" in answer(instance, "gail", "now")
    _, turns = instance.call("GET", "/v1/sessions/gail/turns")
    assert [turn["turn"] for turn in turns["items"]] == [1, 2]


def test_after_kill_9_of_everything_under_load_every_acknowledged_turn_is_there(instance: Instance) -> None:
    """All processes at once, eight clients at work: what they were told is recorded, once, without gaps."""
    sessions = [f"hal-{number}" for number in range(8)]
    for session in sessions:
        open_session(instance, session)
    notes = Notes()
    clients = [threading.Thread(target=note_turns, args=(instance, session, notes)) for session in sessions]
    for client in clients:
        client.start()
    deadline = time.monotonic() + 60
    while len(notes.acknowledged) < 100:
        assert time.monotonic() < deadline
    instance.kill_everything()
    for client in clients:
        client.join(60)
    instance.start()
    assert check_journal(instance.home / "dspex.sqlite3", notes) == []
    for session in sessions:
        assert "after 'question" in answer(instance, session, "and now?")


def test_the_program_is_there_too(instance: Instance) -> None:
    """Resources live in the store as well."""
    assert instance.call("GET", "/v1/programs/qa")[1]["signature"] == QA["signature"]
