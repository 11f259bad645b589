"""What a predict call may say about its turn."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from dspex_actors.api.app import create_app
from dspex_actors.api.turn_body import check_fields
from dspex_actors.errors import InvalidRequest
from dspex_actors.ids import body_hash
from dspex_actors.resources.turn import TurnRequest
from tests.unit.api.fake_runtime import FakeRuntime
from tests.unit.api.in_process import Answer, ask


def send(body: dict[str, Any], **headers: str) -> tuple[Answer, list[TurnRequest]]:
    """Send a predict body with headers; the answer, and the turns that the runtime was asked for."""
    runtime = FakeRuntime()
    runtime.sessions["s"], runtime.turns_of["s"] = {}, []
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    target = "/v1/sessions/s/predict"
    answer = asyncio.run(ask(create_app(runtime), "POST", target, orjson.dumps(body), headers=named))
    return answer, runtime.asked


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, "inputs"),
        ({"inputs": None}, "inputs"),
        ({"inputs": [1]}, "inputs"),
        ({"inputs": {}, "input": {}}, "input"),
        ({"inputs": {}, "timeout_s": 0}, "timeout_s"),
        ({"inputs": {}, "timeout_s": -1.5}, "timeout_s"),
        ({"inputs": {}, "timeout_s": 3600.1}, "timeout_s"),
        ({"inputs": {}, "timeout_s": True}, "timeout_s"),
        ({"inputs": {}, "timeout_s": "5"}, "timeout_s"),
        ({"inputs": {}, "timeout_s": float("inf")}, "timeout_s"),
        ({"inputs": {}, "expected_turn": 0}, "expected_turn"),
        ({"inputs": {}, "expected_turn": 1.0}, "expected_turn"),
        ({"inputs": {}, "expected_turn": True}, "expected_turn"),
        ({"inputs": {}, "expected_turn": 2**63}, "expected_turn"),
        ({"inputs": {}, "cancel_on_disconnect": 1}, "cancel_on_disconnect"),
    ],
)
def test_a_wrong_field_is_named(body: dict[str, Any], loc: str) -> None:
    """Each rule by itself."""
    with pytest.raises(InvalidRequest) as refused:
        check_fields(body)
    assert [problem["loc"] for problem in refused.value.errors] == [[loc]]


def test_all_wrong_fields_are_named_at_once() -> None:
    """One round trip is enough to correct a body."""
    with pytest.raises(InvalidRequest) as refused:
        check_fields({"timeout_s": "x", "expected_turn": -1, "nope": 1})
    places = [problem["loc"][0] for problem in refused.value.errors]
    assert places == ["timeout_s", "expected_turn", "nope", "inputs"]


def test_a_turn_carries_what_the_request_said() -> None:
    """The key is the turn's id, the rest goes as given."""
    body = {"inputs": {"b": 1, "a": "ü"}, "timeout_s": 5, "expected_turn": 3, "cancel_on_disconnect": True}
    _, [turn] = send(body, idempotency_key="my-key", x_request_id="req-1")
    hashed = body_hash("turn", body["inputs"])
    assert turn == TurnRequest("my-key", True, hashed, '{"b":1,"a":"ü"}'.encode(), 5.0, 3, True, False, "req-1")


def test_a_turn_without_a_key_gets_an_id_of_its_own() -> None:
    """Two such turns are two turns."""
    (_, [one]), (_, [two]) = send({"inputs": {}}), send({"inputs": {}})
    assert not one.keyed
    assert one.turn_id != two.turn_id
    assert (one.timeout_s, one.expected_turn, one.cancel_on_disconnect) == (60.0, None, False)


@pytest.mark.parametrize(
    ("header", "field", "expected"),
    [("5", None, 5.0), ("5", 2, 2.0), ("0.5", 2, 0.5), (".5", None, 0.5), ("3600", None, 3600.0)],
)
def test_the_smaller_of_both_timeouts_counts(header: str, field: float | None, expected: float) -> None:
    """A header and a field may both be given."""
    _, [turn] = send({"inputs": {}, "timeout_s": field}, x_request_timeout=header)
    assert turn.timeout_s == expected


@pytest.mark.parametrize("header", ["0", "-1", "nan", "inf", "1e3", "1_0", "", "3601", "five", "0" * 30])
def test_a_wrong_timeout_header_is_refused(header: str) -> None:
    """It is not guessed at."""
    answer, asked = send({"inputs": {}}, x_request_timeout=header)
    assert (answer.status, answer.json()["errors"][0]["loc"], asked) == (422, ["X-Request-Timeout"], [])


@pytest.mark.parametrize("key", ["", "-x", "a/b", "a b", "x" * 129, "ü"])
def test_a_key_that_is_not_a_name_is_refused(key: str) -> None:
    """It would become the turn's id."""
    answer, asked = send({"inputs": {}}, idempotency_key=key)
    assert (answer.status, answer.json()["errors"][0]["loc"], asked) == (422, ["Idempotency-Key"], [])
