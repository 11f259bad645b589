"""Bad requests over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from dspex_actors.config import MAX_BODY_BYTES
from dspex_actors.errors import CODES, DspexError
from tests.protocol.api.serving import prepare, run
from tests.unit.api.fake_runtime import FakeRuntime

PREDICT = "/v1/sessions/s/predict"


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("POST", PREDICT, b"{", 400, "invalid_json"),
        ("POST", PREDICT, b"", 400, "invalid_json"),
        ("POST", PREDICT, b"[]", 422, "invalid_request"),
        ("POST", PREDICT, b'{"inputs":{},"x":1}', 422, "invalid_request"),
        ("POST", PREDICT + "?x=1", b'{"inputs":{}}', 422, "invalid_request"),
        ("POST", "/v1/programs", b'{"name":"-"}', 422, "invalid_request"),
        ("POST", "/v1/programs", b'{"name":"p","tools":[]}', 422, "invalid_request"),
        ("POST", "/v1/sessions", b'{"program":1}', 422, "invalid_request"),
        ("POST", "/v1/sessions", b'{"program":"qa","id":"a/b"}', 422, "invalid_request"),
        ("GET", "/v1/sessions?limit=1000", b"", 422, "invalid_request"),
        ("GET", "/v1/sessions/s/turns?include=all", b"", 422, "invalid_request"),
        ("GET", "/v1/nothing", b"", 404, "not_found"),
        ("GET", "/v1/sessions/", b"", 404, "not_found"),
        ("GET", "/v1/sessions/s/", b"", 404, "not_found"),
        ("GET", "/v1/sessions/a%2Fb", b"", 404, "not_found"),
        ("GET", "/v1/sessions/%FF", b"", 404, "not_found"),
        ("GET", "/v1/sessions/s/turns/0", b"", 404, "not_found"),
        ("GET", "/v1/sessions/s/turns/one", b"", 404, "not_found"),
        ("GET", "/v1/sessions/s/turns/%C2%B2", b"", 404, "not_found"),
        ("GET", "/v1/sessions/s/turns/by-id/-", b"", 404, "not_found"),
        ("GET", "/problems/none", b"", 404, "not_found"),
        ("PUT", "/v1/sessions/s", b"{}", 405, "method_not_allowed"),
        ("GET", PREDICT, b"", 405, "method_not_allowed"),
        ("POST", "/livez", b"", 405, "method_not_allowed"),
    ],
)
def test_a_bad_request_gets_its_problem(method: str, path: str, content: bytes, status: int, code: str) -> None:
    """Complete, with the request's id in body and header."""
    answer = run(lambda client: client.request(method, path, content=content))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "code", "request_id", "retryable"} <= problem.keys()
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert (status == 422) == bool(problem.get("errors"))


def test_a_wrong_method_names_the_right_ones() -> None:
    """In the header that HTTP has for it."""
    answer = run(lambda client: client.put("/v1/sessions/s"))
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PATCH"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_more_than_the_limit_is_refused_and_the_next_request_works(chunked: bool) -> None:
    """Declared or chunked; the connection is of use afterwards."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 65536 + 2):
            yield b" " * 65536

    async def scenario(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        content: Any = chunks() if chunked else b" " * (MAX_BODY_BYTES + 1)
        refused = await client.post(PREDICT, content=content)
        return refused, await client.post(PREDICT, json={"inputs": {}})

    refused, after = run(scenario)
    assert (refused.status_code, refused.json()["code"], after.status_code) == (413, "body_too_large", 200)


@pytest.mark.parametrize("code", CODES)
def test_every_error_of_the_runtime_becomes_its_problem(code: str) -> None:
    """With its status, and with a time to wait where the status asks for one."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> httpx.Response:
        await prepare(client)
        runtime.error = CODES[code]("What happened.", retry_after_s=2.5 if code == "mailbox_full" else None)
        return await client.post(PREDICT, json={"inputs": {}})

    answer, error = run(scenario, runtime), CODES[code]
    assert (answer.status_code, answer.json()["code"]) == (error.status, code)
    assert answer.json()["retryable"] is error.retryable
    waits = {"mailbox_full": "3"}.get(code, "1" if error.status == 503 else None)
    assert answer.headers.get("retry-after") == waits


@pytest.mark.parametrize("code", [*CODES, "method_not_allowed"])
def test_the_type_of_a_problem_is_an_address_that_explains_it(code: str) -> None:
    """A person who follows it learns what to do."""
    answer = run(lambda client: client.get(f"/problems/{code}"))
    assert answer.status_code == 200
    assert answer.json()["code"] == code
    assert answer.json()["what_to_do"]


def test_an_unexpected_error_of_a_stream_ends_it_with_a_failed_turn() -> None:
    """The text of the cause stays in the log."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> httpx.Response:
        await prepare(client)
        runtime.late_error = ValueError("hunter2")
        return await client.post(PREDICT, json={"inputs": {}}, headers={"Accept": "text/event-stream"})

    text = run(scenario, runtime).text
    assert "id: 1.2\nevent: turn.failed\n" in text
    assert '"code":"internal"' in text
    assert "hunter2" not in text


def test_a_known_error_of_a_stream_that_has_begun_ends_it_with_a_failed_turn() -> None:
    """Exactly one terminal event, with the problem."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> httpx.Response:
        await prepare(client)
        runtime.late_error = DspexError("Nothing to see.")
        return await client.post(PREDICT, json={"inputs": {}}, headers={"Accept": "text/event-stream"})

    assert run(scenario, runtime).text.count("event: turn.") == 2
