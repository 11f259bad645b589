"""A request's way through the application, without a socket."""

from __future__ import annotations

import asyncio
import json
import logging

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.api.app import create_app
from dspex_actors.api.asgi import Message
from dspex_actors.config import MAX_BODY_BYTES
from tests.unit.api.fake_runtime import ADMIN, FakeRuntime
from tests.unit.api.in_process import Answer, ask

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["inputs", "timeout_s", "expected_turn", "cancel_on_disconnect", "other"])
BODIES = st.binary(max_size=60) | st.dictionaries(NAMES, VALUES).map(lambda value: json.dumps(value).encode())


def runtime_with_session() -> FakeRuntime:
    """A runtime that has the session `s`."""
    runtime = FakeRuntime()
    runtime.sessions["s"], runtime.turns_of["s"] = {}, []
    return runtime


def predict(runtime: FakeRuntime, *chunks: bytes, **headers: str) -> Answer:
    """One predict call."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(ask(create_app(runtime), "POST", "/v1/sessions/s/predict", *chunks, headers=named))


@given(BODIES)
def test_no_predict_body_is_an_internal_error(body: bytes) -> None:
    """Whatever is sent, the answer is one that the caller can act on."""
    answer = predict(runtime_with_session(), body)
    assert answer.status in {200, 400, 422}
    assert answer.status == 200 or answer.json()["code"] in {"invalid_json", "invalid_request"}


@given(VALUES)
def test_what_the_runtime_gets_is_what_was_sent(value: object) -> None:
    """Inputs are neither rounded nor dropped on the way."""
    runtime = runtime_with_session()
    answer = predict(runtime, json.dumps({"inputs": {"value": value}}).encode())
    if answer.status == 200:
        assert orjson.loads(runtime.asked[0].inputs) == {"value": value}


def test_a_body_in_pieces_is_put_together() -> None:
    """Chunks may fall anywhere."""
    runtime = runtime_with_session()
    assert predict(runtime, b'{"inp', b'uts":{"a', b'":1}}').status == 200
    assert runtime.asked[0].inputs == b'{"a":1}'


def test_a_body_that_says_that_it_is_too_large_is_not_read() -> None:
    """Its length is enough."""
    answer = predict(runtime_with_session(), b"never read", content_length=str(MAX_BODY_BYTES + 1))
    assert (answer.status, answer.json()["code"]) == (413, "body_too_large")


def test_a_body_that_turns_out_too_large_is_not_read_on() -> None:
    """Reading stops at the chunk that is too much."""
    half = b" " * (MAX_BODY_BYTES // 2 + 1)
    answer = predict(runtime_with_session(), half, half, b"never read")
    assert (answer.status, answer.json()["code"]) == (413, "body_too_large")


def test_a_large_body_is_taken_off_the_loop_and_taken_whole() -> None:
    """The limit is for more than this."""
    runtime = runtime_with_session()
    assert predict(runtime, orjson.dumps({"inputs": {"text": "x" * 1_000_000}})).status == 200
    assert len(runtime.asked[0].inputs) == 1_000_011


def test_an_unexpected_error_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets an id that the log knows."""
    runtime = runtime_with_session()
    runtime.error = ValueError("the password is hunter2")
    with caplog.at_level(logging.ERROR):
        answer = predict(runtime, b'{"inputs":{}}', x_request_id="req-7")
    assert (answer.status, answer.json()["code"], answer.json()["request_id"]) == (500, "internal", "req-7")
    assert b"hunter2" not in answer.body
    assert "hunter2" in caplog.text
    assert "req-7" in caplog.text


@pytest.mark.parametrize(("given_id", "kept"), [("abc-1", True), ("a b", False), ("", False), ("x" * 129, False)])
def test_a_valid_request_id_is_kept_and_any_other_replaced(given_id: str, kept: bool) -> None:
    """Every answer has one."""
    answer = predict(runtime_with_session(), b'{"inputs":{}}', x_request_id=given_id)
    assert (answer.headers["x-request-id"] == given_id) is kept
    assert answer.headers["x-request-id"]


def test_head_has_no_body_whatever_the_server_does_with_it() -> None:
    """Not every server drops it by itself."""
    answer = asyncio.run(ask(create_app(FakeRuntime()), "HEAD", "/info"))
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_the_query_is_gone_before_a_server_can_log_it() -> None:
    """A key in it is in no access log."""
    answer = asyncio.run(ask(create_app(FakeRuntime()), "GET", f"/login?key={ADMIN}", key=None))
    assert answer.status == 303
    assert answer.scope["query_string"] == b""


def test_a_cookie_over_https_is_for_https_only() -> None:
    """It is never sent in the clear then."""
    app = create_app(FakeRuntime())
    secure = asyncio.run(ask(app, "GET", f"/login?key={ADMIN}", key=None, scheme="https"))
    plain = asyncio.run(ask(app, "GET", f"/login?key={ADMIN}", key=None))
    assert secure.headers["set-cookie"].endswith("; Secure")
    assert "Secure" not in plain.headers["set-cookie"]


def test_the_lifespan_is_answered_and_a_websocket_refused() -> None:
    """What a server may ask besides requests."""

    async def scenario(kind: str, *incoming: str) -> list[Message]:
        sent: list[Message] = []
        messages = iter(incoming)

        async def receive() -> Message:
            return {"type": next(messages)}

        async def send(message: Message) -> None:
            sent.append(message)

        await create_app(FakeRuntime())({"type": kind}, receive, send)
        return sent

    lifespan = asyncio.run(scenario("lifespan", "lifespan.startup", "lifespan.shutdown"))
    assert [one["type"] for one in lifespan] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert asyncio.run(scenario("websocket", "websocket.connect")) == [{"type": "websocket.close"}]
