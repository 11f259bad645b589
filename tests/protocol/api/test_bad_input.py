"""Bad input gets the right problem over HTTP, and the session's next turn works: the real runtime, without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dspex_actors.config import MAX_BODY_BYTES
from dspex_actors.sessions.answers import MAILBOX_LIMIT
from dspex_actors.sessions.session import ABANDONED_LIMIT
from tests.support.modules import RELEASE
from tests.support.serving import Served, served

PROGRAMS: dict[str, Any] = {
    "qa": "question: str -> answer: str",
    "hang": {"module": "python:tests.support.modules:Hang"},
    "raise": {"module": "python:tests.support.modules:Raise"},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A served runtime with the programs of this file."""
    with served(PROGRAMS, packages=("tests",)) as running:
        yield running


@pytest.fixture
def http(server: Served) -> Iterator[httpx.Client]:
    """A client with the admin key."""
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.key}"}, timeout=30) as client:
        yield client


def opened(http: httpx.Client, program: str = "qa", lm: str | None = None) -> str:
    """The path of a fresh session."""
    made = http.post("/v1/sessions", json={"program": program, **({"lm": lm} if lm else {})})
    assert made.status_code == 201, made.text
    return f"/v1/sessions/{made.json()['id']}"


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem, which must be this one."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    return problem


def works(http: httpx.Client, session: str, turn: int = 1) -> None:
    """The next turn gets the number that it should."""
    answer = http.post(f"{session}/predict", json={"inputs": {"question": "well?"}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["turn"] == turn


@pytest.mark.parametrize(
    ("inputs", "loc", "kind"),
    [
        ({}, ["inputs", "question"], "missing"),
        ({"question": "a", "colour": "red"}, ["inputs", "colour"], "extra"),
        ({"question": 1}, ["inputs", "question"], None),
        ({"question": ["a"]}, ["inputs", "question"], None),
    ],
)
def test_wrong_inputs_are_named_with_their_place(
    http: httpx.Client, inputs: dict[str, Any], loc: list[str], kind: str | None
) -> None:
    """Missing, extra, of another type: the turn takes no number."""
    session = opened(http)
    problem = refused(http.post(f"{session}/predict", json={"inputs": inputs}), 422, "invalid_request")
    assert problem["errors"][0]["loc"] == loc
    assert kind is None or problem["errors"][0]["type"] == kind
    works(http, session)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 422, "invalid_request"),
        (b'{"inputs": 1}', 422, "invalid_request"),
        (b'{"inputs": {"question": "a"}, "timeout": 1}', 422, "invalid_request"),
        (b'{"inputs": {"question": "' + b"x" * (10 * 1024 * 1024) + b'"}}', 413, "body_too_large"),
    ],
)
def test_a_body_that_is_none_is_refused(http: httpx.Client, body: bytes, status: int, code: str) -> None:
    """No JSON, no object, unknown fields, ten megabytes."""
    assert MAX_BODY_BYTES < 10 * 1024 * 1024
    session = opened(http)
    refused(http.post(f"{session}/predict", content=body), status, code)
    works(http, session)


def test_what_is_not_there_is_not_found(http: httpx.Client) -> None:
    """Unknown session, unknown program."""
    refused(http.post("/v1/sessions/nobody/predict", json={"inputs": {}}), 404, "not_found")
    refused(http.post("/v1/sessions", json={"program": "nothing"}), 404, "not_found")


def test_a_wrong_key_is_refused(http: httpx.Client) -> None:
    """And nothing of it is repeated."""
    answer = http.get("/v1/sessions", headers={"Authorization": "Bearer dspex_wrong"})
    refused(answer, 401, "unauthenticated")
    assert "dspex_wrong" not in answer.text


def test_an_expired_deadline_ends_the_turn_and_not_the_session(http: httpx.Client) -> None:
    """The model takes longer than the request has."""
    session = opened(http, lm="mock?latency_s=0.4")
    late = http.post(f"{session}/predict", json={"inputs": {"question": "a"}, "timeout_s": 0.05})
    refused(late, 504, "deadline_exceeded")
    works(http, session)


def test_a_full_mailbox_refuses_and_goes_on(server: Served, http: httpx.Client) -> None:
    """One runs and a hundred wait: the rest is told at once."""
    session = opened(http, lm="mock?latency_s=0.02")

    async def flood() -> list[httpx.Response]:
        headers = {"Authorization": f"Bearer {server.key}"}
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60, limits=limits) as client:
            body = {"inputs": {"question": "a"}}
            posts = [client.post(f"{session}/predict", json=body) for _ in range(MAILBOX_LIMIT + 50)]
            return await asyncio.gather(*posts)

    answers = asyncio.run(flood())
    full = [answer for answer in answers if answer.status_code != 200]
    assert full
    for answer in full:
        refused(answer, 503, "mailbox_full")
        assert int(answer.headers["retry-after"]) >= 1
    works(http, session, turn=len(answers) - len(full) + 1)


def test_a_sync_turn_that_hangs_costs_a_deadline_then_says_busy(http: httpx.Client) -> None:
    """The next turn works; when too many hang the session says so; it works again when they have ended."""
    session = opened(http, "hang")
    hang = {"inputs": {"question": "hang"}, "timeout_s": 0.1}
    try:
        for turn in range(1, ABANDONED_LIMIT + 1):
            refused(http.post(f"{session}/predict", json=hang), 504, "deadline_exceeded")
            if turn < ABANDONED_LIMIT:
                works(http, session, turn)
        refused(http.post(f"{session}/predict", json={"inputs": {"question": "well?"}}), 503, "session_busy")
    finally:
        RELEASE.set()
    _until_not_busy(http, session)


def _until_not_busy(http: httpx.Client, session: str) -> None:
    for _ in range(1000):
        answer = http.post(f"{session}/predict", json={"inputs": {"question": "well?"}})
        if answer.status_code == 200:
            return
        refused(answer, 503, "session_busy")
    raise AssertionError("the session stays busy")


def test_a_program_that_raises_tells_its_type_and_no_more(http: httpx.Client) -> None:
    """The text of an exception is the user's; the failed attempt can be read."""
    session = opened(http, "raise")
    answer = http.post(f"{session}/predict", json={"inputs": {"question": "rudely"}}, headers={"Idempotency-Key": "k"})
    problem = refused(answer, 500, "program_failed")
    assert "ValueError" in problem["detail"]
    assert "secret" not in answer.text
    assert http.get(f"{session}/turns/by-id/k").json()["error"]["code"] == "program_failed"
    assert http.post(f"{session}/predict", json={"inputs": {"question": "please"}}).status_code == 200


def test_a_stream_that_is_refused_is_an_ordinary_problem(http: httpx.Client) -> None:
    """No event before the turn has started."""
    session = opened(http)
    answer = http.post(f"{session}/predict", json={"inputs": {}}, headers={"Accept": "text/event-stream"})
    refused(answer, 422, "invalid_request")
