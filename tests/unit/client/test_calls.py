"""What is sent, and what is refused before it is sent."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest

import dspex_actors as dx
from tests.unit.client.scripted import Script, answered


def body(script: Script) -> Any:
    """The JSON of the last request."""
    return orjson.loads(script.requests[-1].content)


def test_inputs_come_from_keywords_and_from_the_dictionary() -> None:
    """The latter for fields that have the name of an option."""
    script = Script(answered())
    script.client().session("s").predict(question="why", inputs={"timeout_s": 3, "self": 1})
    assert body(script) == {"inputs": {"question": "why", "timeout_s": 3, "self": 1}}


def test_options_go_beside_the_inputs() -> None:
    """The time goes as a header alone."""
    script = Script(answered())
    script.client().session("s").predict(question="why", expected_turn=3, cancel_on_disconnect=True, timeout_s=7)
    assert body(script) == {"inputs": {"question": "why"}, "expected_turn": 3, "cancel_on_disconnect": True}
    assert script.sent("x-request-timeout") == ["7.000"]


def test_a_program_is_sent_without_what_was_not_given() -> None:
    """The server's defaults are the server's."""
    script = Script(answered())
    script.client().programs.create("qa", "a -> b")
    assert body(script) == {"name": "qa", "signature": "a -> b", "module": "predict", "params": {}}


def test_names_in_paths_are_quoted() -> None:
    """A name with a slash is not a longer path."""
    script = Script(answered())
    script.client().session("a/b").turn_by_id("c?d")
    assert script.requests[0].url.raw_path == b"/v1/sessions/a%2Fb/turns/by-id/c%3Fd"


@pytest.mark.parametrize("inputs", [{"inputs": {"a": 1}, "a": 2}, {"inputs": "text"}, {"when": object()}])
def test_inputs_that_cannot_be_sent_are_refused(inputs: dict[str, Any]) -> None:
    """Before anything is sent."""
    script = Script(answered())
    with pytest.raises(dx.InvalidRequest):
        script.client().session("s").predict(**inputs)
    assert script.requests == []


@pytest.mark.parametrize("timeout_s", [0, -1, math.nan, math.inf, 3601, "5"])
def test_a_timeout_is_a_number_of_seconds_up_to_an_hour(timeout_s: Any) -> None:
    """For a client and for a call."""
    script = Script(answered())
    for call in (
        lambda: script.client(timeout_s=timeout_s),
        lambda: script.client().session("s").predict(timeout_s=timeout_s),
    ):
        with pytest.raises(dx.InvalidRequest, match="timeout_s"):
            call()


@pytest.mark.parametrize("key", ["", "a b", "-a", "x" * 129, "a/b"])
def test_a_key_that_is_no_name_is_refused(key: str) -> None:
    """As the server would."""
    with pytest.raises(dx.InvalidRequest, match="idempotency_key"):
        Script(answered()).client().session("s").predict(idempotency_key=key)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_path_needs_a_name(name: str) -> None:
    """An empty one would be another address."""
    with pytest.raises(dx.InvalidRequest):
        Script(answered()).client().sessions.get(name)


def test_a_cancel_call_names_its_turn_or_none() -> None:
    """With a key of its own, so that a repeat cancels no second turn."""
    script = Script(answered())
    session = script.client().session("s")
    session.cancel("t1")
    assert (str(script.requests[-1].url.path), body(script)) == ("/v1/sessions/s/cancel", {"turn_id": "t1"})
    session.cancel()
    assert body(script) == {}
    assert len(set(script.sent("idempotency-key"))) == 2
    with pytest.raises(dx.InvalidRequest):
        session.cancel("no name")


def test_a_migrate_call_names_its_host_or_none_and_waits_as_long_as_it_is_told() -> None:
    """With a key of its own."""
    script = Script(answered())
    session = script.client().session("s")
    session.migrate("host-2", timeout_s=7)
    assert (script.requests[-1].url.path, body(script)) == ("/v1/sessions/s/migrate", {"host": "host-2"})
    assert script.sent("x-request-timeout") == ["7.000"]
    session.migrate()
    assert body(script) == {}
    assert len(set(script.sent("idempotency-key"))) == 2


def test_a_drain_call_quotes_its_host() -> None:
    """The full name of a host has a `#`."""
    script = Script(answered())
    script.client().drain_host("host-1#01J", timeout_s=7)
    assert script.requests[-1].url.raw_path == b"/v1/hosts/host-1%2301J/drain"
    assert (script.sent("x-request-timeout"), body(script)) == (["7.000"], {})
    with pytest.raises(dx.InvalidRequest):
        script.client().drain_host("")
