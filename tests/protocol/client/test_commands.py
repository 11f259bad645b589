"""The commands against the real server."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from benchmarks.ports import free_port
from dspex_actors.client.client import Client
from tests.support.serving import Served
from tests.unit.cli_commands.running import dspex, json_of


@pytest.fixture(autouse=True)
def _settings(_alone: None, server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands find the server by its port, and the key in the home."""
    monkeypatch.setenv("DSPEX_PORT", server.url.rpartition(":")[2])
    home = Path(".dspex")
    home.mkdir()
    (home / "api-key").write_text(server.key + "\n")


def test_two_turns_from_nothing_to_an_answer() -> None:
    """Program, session, turn, turn."""
    assert dspex("program", "create", "chat", "question, history: dspy.History -> answer").exit_code == 0
    assert "Created the session ann" in dspex("session", "create", "chat", "--id", "ann").stdout
    assert dspex("predict", "ann", "question=one").stdout.startswith("answer: mock answer to 'one'")
    second = json_of(dspex("predict", "ann", "question=two", "--json"))
    assert (second["turn"], "earlier turns shown: 1" in second["outputs"]["answer"]) == (2, True)
    shown = dspex("session", "show", "ann")
    assert [text in shown.stdout for text in ("turn 1", "turn 2", "one", "two")] == [True] * 4


def test_a_session_is_rewound_and_forked(client: Client) -> None:
    """Left turns are marked where they are shown; a turn that is not there is a sentence."""
    session = client.open("qa")
    for question in ("one", "two"):
        session.predict(question=question)
    assert "stands at turn 1; its next turn is number 3" in dspex("session", "rewind", session.id, "1").stdout
    assert "(left)" in dspex("session", "show", session.id).stdout
    assert json_of(dspex("session", "rewind", session.id, "2", "--json"))["to_turn"] == 2
    forked = dspex("session", "fork", session.id, "--at-turn", "1", "--id", f"{session.id}-2")
    assert f"Created the session {session.id}-2, at turn 1" in forked.stdout
    made = json_of(dspex("session", "fork", session.id, "--json"))
    assert (made["turns"], made["forked_from"]) == (2, {"id": session.id, "turn": 2})
    refused = dspex("session", "rewind", session.id, "3")
    assert (refused.exit_code, "no turn 3" in refused.stderr) == (1, True)


def test_retention_is_shown_set_and_reset(client: Client) -> None:
    """What is not given is kept; the past of a session goes, and its memory stays."""
    session = client.open("qa")
    for question in ("one", "two", "three"):
        session.predict(question=question)
    assert json_of(dspex("retention", "show", "--json"))["default"] is True
    held = json_of(dspex("retention", "set", "--journal-turns", "2", "--failed-days", "1.5", "--json"))
    assert held == {"journal_days": None, "journal_turns": 2, "failed_days": 1.5, "default": False}
    wait_until(lambda: client.sessions.get(session.id)["removed_turns"] == 1)
    assert [turn["turn"] for turn in session.turns()] == [2, 3]
    assert "journal_turns" in dspex("retention", "reset").stdout
    assert client.retention.get()["journal_turns"] is None
    refused = dspex("retention", "set", "--journal-turns", "0")
    assert (refused.exit_code, "journal_turns" in refused.stderr) == (1, True)


def wait_until(condition: Callable[[], bool]) -> None:
    """It must hold within 10 s."""
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_session_is_migrated_and_a_host_drained_as_far_as_there_are_hosts(client: Client) -> None:
    """Here is one; where there is no other one, that is said when the time is over."""
    session, host = client.open("qa").id, client.tree()["id"]
    moved = json_of(dspex("session", "migrate", session, "--host", host, "--json"))
    assert moved == {"session": session, "from": host, "to": host, "pause_ms": 0.0}
    stayed = dspex("session", "migrate", session, "--host", host)
    assert stayed.stdout == f"Moved the session {session} from {host} to {host}: 0.0 ms.\n"
    for command in (("session", "migrate", session), ("host", "drain", host)):
        refused = dspex(*command, "--timeout", "0.5")
        assert (refused.exit_code, "start one more" in refused.stderr) == (1, True)
    unknown = dspex("host", "drain", "none")
    assert (unknown.exit_code, "There is no host 'none'" in unknown.stderr) == (1, True)


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (0, "Drained host-1: 9 units moved, none left.\n"),
        (2, "2 units are left, whose turns run; they leave when these end"),
    ],
)
def test_a_drain_says_what_has_become_of_the_host(monkeypatch: pytest.MonkeyPatch, left: int, said: str) -> None:
    """All gone, or some still there."""
    answer = {"host": "host#1", "status": "draining" if left else "drained", "moved": 9, "left": left}
    monkeypatch.setattr(Client, "drain_host", lambda self, host, timeout_s: answer)
    assert said in dspex("host", "drain", "host-1").stdout
    assert json_of(dspex("host", "drain", "host-1", "--json")) == answer


def test_a_stream_prints_what_the_answer_is(client: Client) -> None:
    """Token by token; with --json the whole answer alone."""
    session = client.open("qa").id
    printed = dspex("predict", session, "question=why", "--stream", "--key", "k")
    answer = client.session(session).turn_by_id("k")["outputs"]["answer"]
    assert printed.stdout == f"answer: {answer}\n"
    assert "turn 1, mock" in printed.stderr
    again = json_of(dspex("predict", session, "question=why", "--stream", "--key", "k", "--json"))
    assert (again["outputs"]["answer"], again["replayed"]) == (answer, True)
    assert dspex("predict", session, "question=why", "--stream", "--key", "k").stdout == f"answer: {answer}\n"


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [(["a:=1", "b:=2"], None), (["--json-inputs", '{"a": 1, "b": 2}'], None), (["--stdin"], b'{"a": 1, "b": 2}')],
)
def test_inputs_come_from_three_places(client: Client, arguments: list[str], stdin: bytes | None) -> None:
    """The same turn each time."""
    session = client.open("sum").id
    assert json_of(dspex("predict", session, *arguments, "--json", stdin=stdin))["turn"] == 1
    assert client.session(session).turn(1)["inputs"] == {"a": 1, "b": 2}


def test_programs_are_created_listed_shown_and_removed() -> None:
    """With all that a program can have."""
    more = ("--module", "chain_of_thought", "--instructions", "Go.", "--lm", "mock", "--param", "temperature=0.5")
    made = json_of(dspex("program", "create", "full", "a -> b", *more, "--json"))
    assert (made["module"], made["params"], made["instructions"]) == ("chain_of_thought", {"temperature": 0.5}, "Go.")
    assert json_of(dspex("program", "show", "full", "--json")) == made
    assert "full" in [program["name"] for program in json_of(dspex("program", "ls", "--json"))]
    assert "chain_of_thought" in dspex("program", "ls").stdout
    assert json_of(dspex("program", "rm", "full", "--json")) == {"removed": "full"}
    assert dspex("program", "show", "full").exit_code == 1


def test_sessions_are_created_listed_shown_and_removed(client: Client) -> None:
    """The last turns come with the session."""
    more = ("--id", "bob", "--lm", "mock", "--on-busy", "reject")
    made = json_of(dspex("session", "create", "qa", *more, "--json"))
    assert (made["id"], made["on_busy"]) == ("bob", "reject")
    for number in range(3):
        client.session("bob").predict(question=str(number))
    shown = json_of(dspex("session", "show", "bob", "--turns", "2", "--json"))
    assert [turn["turn"] for turn in shown["last_turns"]] == [2, 3]
    assert "bob" in [session["id"] for session in json_of(dspex("session", "ls", "--json"))]
    assert "bob" in dspex("session", "ls").stdout
    assert json_of(dspex("session", "restart", "bob", "--json"))["restarts"] == 1
    assert json_of(dspex("session", "cancel", "bob", "--json")) == {"session": "bob", "cancelled": [], "too_late": []}
    assert "No turn of the session bob runs." in dspex("session", "cancel", "bob").stdout
    assert "Too late" in dspex("session", "cancel", "bob", "--turn-id", shown["last_turns"][0]["turn_id"]).stdout
    assert dspex("session", "cancel", "bob", "--turn-id", "none").exit_code == 1
    assert "Restarted the session bob" in dspex("session", "restart", "bob").stdout
    assert dspex("session", "rm", "bob").exit_code == 0


def test_the_tree_is_shown() -> None:
    """As lines, and as it is."""
    assert "host  ready" in dspex("tree").stdout
    assert json_of(dspex("tree", "--json"))["kind"] == "host"


def test_a_failure_is_one_sentence_and_exit_code_1() -> None:
    """With --json the problem is the document."""
    result = dspex("predict", "nobody", "question=why", "--json")
    assert (result.exit_code, orjson.loads(result.stdout)["code"]) == (1, "not_found")
    assert result.stderr == orjson.loads(result.stdout)["detail"] + "\n"


def test_a_failed_stream_is_a_failure(client: Client) -> None:
    """Though it was answered with 200."""
    result = dspex("predict", client.open("fails").id, "question=why", "--stream")
    assert (result.exit_code, result.stdout, "failed" in result.stderr) == (1, "", True)


def test_where_no_server_answers_the_command_says_what_to_do() -> None:
    """At once, not after a minute of trying."""
    url = f"http://127.0.0.1:{free_port()}"
    result = dspex("session", "ls", "--url", url)
    expected = f"No server answers at {url}. Start one with 'dspex serve', or set --url.\n"
    assert (result.exit_code, result.stderr) == (1, expected)


def test_a_wrong_key_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable beats the file."""
    monkeypatch.setenv("DSPEX_API_KEY", "hush")
    result = dspex("session", "ls")
    assert (result.exit_code, "hush" in result.output, "not known" in result.stderr) == (1, False, True)


def test_variables_and_versions_on_the_command_line(client: Client) -> None:
    """Set and shown; a version is made, promoted, and a session bound to it."""
    client.programs.create(
        "ctutor", "question -> answer", variables={"level": {"type": "int"}, "tone": {"type": "json"}}
    )
    session = client.sessions.create("ctutor")["id"]
    assert "level" in dspex("session", "set", session, "level:=4", "tone=kind").stdout
    assert dspex("session", "get", session, "tone").stdout == '"kind"\n'
    assert "4" in dspex("session", "get", session).stdout
    assert json_of(dspex("session", "get", session, "level", "--json"))["value"] == 4
    for refused in (("set", session, "level=x"), ("get", session, "pace"), ("set", session, "pace=1")):
        assert dspex("session", *refused).exit_code == 1
    assert "Made version 2" in dspex("program", "update", "ctutor", "instructions=Go.").stdout
    assert "Version 2 of ctutor is live." in dspex("program", "promote", "ctutor", "2").stdout
    assert [one["live"] for one in json_of(dspex("program", "versions", "ctutor", "--json"))] == [True, False]
    assert json_of(dspex("session", "update", session, "--live", "--json"))["version"] == 2
    found = json_of(dspex("session", "update", session, "--version", "1", "--version-policy", "follow", "--json"))
    assert (found["version"], found["version_policy"]) == (1, "follow")
    assert dspex("session", "update", session, "--version", "1", "--live").exit_code == 2
