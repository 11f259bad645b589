"""The synchronous client against the real server."""

from __future__ import annotations

import pytest

import dspex_actors as dx
from benchmarks.ports import free_port
from dspex_actors.client.client import Client
from tests.support.serving import Served


def test_the_second_turn_saw_the_first(client: Client) -> None:
    """The conversation is the session's, not the client's."""
    session = client.open("qa")
    first = session.predict(question="one")
    second = session.predict(question="two")
    assert (first.turn, second.turn) == (1, 2)
    assert "earlier turns shown: 1" in second.outputs.answer
    assert second.usage["calls"] == 1
    assert (second.model, second.attempts, second.replayed) == ("mock", 1, False)


def test_the_same_key_gives_the_recorded_reply(client: Client) -> None:
    """Once is once."""
    session = client.open("qa")
    first = session.predict(question="one", idempotency_key="mine")
    again = session.predict(question="one", idempotency_key="mine")
    assert (again.turn, again.outputs, again.turn_id, again.replayed) == (1, first.outputs, "mine", True)
    with pytest.raises(dx.IdempotencyMismatch):
        session.predict(question="another", idempotency_key="mine")


def test_a_stream_ends_in_the_reply_that_its_tokens_spell(client: Client) -> None:
    """Tokens come between the start and the one terminal event."""
    events = list(client.open("qa").stream(question="why"))
    tokens = "".join(event.data["delta"] for event in events if event.name == "token")
    assert (events[0].name, events[-1].name) == ("turn.started", "turn.completed")
    assert events[-1].reply is not None
    assert events[-1].reply.outputs.answer == tokens


def test_a_failed_stream_ends_in_a_typed_error(client: Client) -> None:
    """The event carries it; nothing is raised."""
    *_, last = client.open("fails").stream(question="why")
    assert (last.name, type(last.error), last.reply) == ("turn.failed", dx.LMFailed, None)


def test_a_stream_of_an_unknown_session_raises_before_its_first_event(client: Client) -> None:
    """What is wrong with the request is no event."""
    with pytest.raises(dx.NotFound):
        next(client.session("nobody").stream(question="why"))


def test_turns_are_found_by_number_by_id_and_in_a_list(client: Client) -> None:
    """All three show the same record."""
    session = client.open("qa")
    ids = [session.predict(question=f"q{number}").turn_id for number in (1, 2)]
    assert [turn["turn_id"] for turn in session.turns()] == ids
    assert session.turn(2) == session.turn_by_id(ids[1])
    with pytest.raises(dx.NotFound):
        session.turn(3)


def test_a_session_is_rewound_restored_and_forked(client: Client) -> None:
    """The fork is a handle like any other; a turn that is not there raises."""
    session = client.open("qa")
    for question in ("one", "two", "three"):
        session.predict(question=question)
    assert session.rewind(1, idempotency_key="back") == session.rewind(1, idempotency_key="back")
    assert [turn["left"] for turn in session.turns()] == [False, True, True]
    fork = session.fork(at_turn=2)
    assert "after 'one', 'two'" in fork.predict(question="else").outputs.answer
    assert session.rewind(3)["next_turn"] == 4
    for call in (session.rewind, session.fork):
        with pytest.raises(dx.NotFound):
            call(4)
    with pytest.raises(dx.AlreadyExists):
        session.fork(id=fork.id)


def test_failed_turns_are_listed_on_request(client: Client) -> None:
    """A model's failure is tried three times, and each is there to see."""
    session = client.open("fails")
    with pytest.raises(dx.LMFailed):
        session.predict(question="why")
    assert list(session.turns()) == []
    assert [turn["status"] for turn in session.turns(include_failed=True)] == ["failed"] * 3


def test_programs_live_from_create_to_delete(client: Client) -> None:
    """Created, listed, shown, deleted."""
    made = client.programs.create("temp", "a -> b", "chain_of_thought", params={"temperature": 0.5}, instructions="Go.")
    assert client.programs.get("temp") == made
    assert made["params"] == {"temperature": 0.5}
    assert "temp" in [program["name"] for program in client.programs.list()]
    client.programs.delete("temp")
    with pytest.raises(dx.NotFound):
        client.programs.get("temp")


def test_sessions_live_from_create_to_delete(client: Client) -> None:
    """Created, listed, shown, deleted."""
    made = client.sessions.create("qa", "short-lived", lm="mock?latency_s=0")
    assert made["lm"] == "mock?latency_s=0"
    assert client.sessions.get("short-lived")["program"] == "qa"
    assert "short-lived" in [session["id"] for session in client.sessions.list()]
    client.sessions.delete("short-lived")
    with pytest.raises(dx.NotFound):
        client.sessions.get("short-lived")


def test_a_list_is_fetched_page_by_page(client: Client) -> None:
    """More than one page holds."""
    names = {f"page-{number}" for number in range(205)}
    for name in sorted(names):
        client.sessions.create("sum", name)
    assert names <= {session["id"] for session in client.sessions.list()}


def test_opening_twice_gives_the_same_session(client: Client) -> None:
    """Unless the id belongs to another program."""
    client.open("qa", "twice").predict(question="one")
    assert client.open("qa", "twice").predict(question="two").turn == 2
    with pytest.raises(dx.AlreadyExists):
        client.open("sum", "twice")


def test_the_server_tells_about_itself(client: Client) -> None:
    """Tree, info, readiness."""
    assert client.tree()["status"] == "ready"
    assert client.info()["mock"] is True
    assert client.ready() is True


def test_a_session_without_a_running_turn_has_nothing_to_cancel(client: Client) -> None:
    """A turn that is recorded is too late, one that never was is not found."""
    session = client.open("qa", on_busy="interrupt")
    assert client.sessions.get(session.id)["on_busy"] == "interrupt"
    reply = session.predict(question="why")
    assert session.cancel() == {"session": session.id, "cancelled": [], "too_late": []}
    assert session.cancel(reply.turn_id)["too_late"] == [reply.turn_id]
    with pytest.raises(dx.NotFound):
        session.cancel("none")


def test_a_session_and_a_host_stay_where_there_is_no_other_host(client: Client) -> None:
    """The call is repeated until its time is over: one may be about to start."""
    session, host = client.open("qa"), client.tree()["id"]
    assert session.migrate(host) == {"session": session.id, "from": host, "to": host, "pause_ms": 0.0}
    for call in (session.migrate, lambda timeout_s: client.drain_host(host, timeout_s=timeout_s)):
        with pytest.raises(dx.NoCapacity):
            call(timeout_s=0.5)
    with pytest.raises(dx.NotFound):
        session.migrate("none")


def test_wrong_inputs_raise_with_their_places(client: Client) -> None:
    """And the request's id to ask about."""
    with pytest.raises(dx.InvalidRequest) as caught:
        client.open("sum").predict(a="x", b=2)
    assert caught.value.errors[0]["loc"] == ["inputs", "a"]
    assert caught.value.__notes__[0].startswith("request_id: ")


def test_a_turn_out_of_order_is_refused(client: Client) -> None:
    """`expected_turn` is a condition."""
    with pytest.raises(dx.PreconditionFailed):
        client.open("qa").predict(question="one", expected_turn=2)


def test_a_wrong_key_is_refused_and_never_shown(server: Served) -> None:
    """Neither in the error nor in what prints the client."""
    with Client(server.url, api_key="dspex_secret") as client, pytest.raises(dx.Unauthenticated) as caught:
        client.info()
    assert "secret" not in f"{caught.value} {caught.value.__notes__} {client!r} {vars(client)!r}"


def test_a_key_without_the_scope_is_refused(server: Served) -> None:
    """Reading is not writing."""
    with Client(server.url, api_key=server.new_key("read")) as client:
        assert client.tree()["children"] == []
        with pytest.raises(dx.Forbidden):
            client.open("qa")


def test_a_missing_key_says_where_one_may_come_from(server: Served) -> None:
    """The server's own sentence speaks of headers."""
    with Client(server.url) as client, pytest.raises(dx.Unauthenticated, match="DSPEX_API_KEY"):
        client.info()


def test_where_nothing_listens_the_error_says_so() -> None:
    """At the deadline, and at once where that is wanted."""
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, api_key="k", retry=dx.Retry(unreachable_s=0)) as client:
        assert client.ready() is False
        with pytest.raises(dx.Unreachable, match=f"No server answers at {url}"):
            client.info()


def test_variables_versions_and_bindings(client: Client) -> None:
    """Declared, set, refused, changed by somebody else; a version made, tried, promoted."""
    client.programs.create("tutor", "question -> answer", variables={"level": {"type": "int", "default": 1}})
    made = client.sessions.create("tutor", variables={"level": 2}, declare={"own": {"type": "json"}})
    session = client.session(made["id"])
    seq = session.set_variable("level", 3, if_match=0)["seq"]
    with pytest.raises(dx.PreconditionFailed):
        session.set_variables({"own": [1]}, if_match=0)
    assert session.set_variables({"own": [1]}, if_match=seq, idempotency_key="k")["values"] == {"own": [1]}
    assert {name: each["value"] for name, each in session.variables()["variables"].items()} == {"level": 2, "own": [1]}
    version = client.programs.update("tutor", instructions="Go.", if_match="1-1")["version"]
    assert [one["version"] for one in client.programs.versions("tutor")] == [2, 1]
    assert client.programs.promote("tutor", version)["live"] is True
    assert client.sessions.update(session.id, program="tutor", if_match=made["changed"])["version"] == version
    with pytest.raises(dx.PreconditionFailed):
        client.sessions.update(session.id, lm="mock", if_match=0)
