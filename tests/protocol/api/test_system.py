"""What the service says about itself."""

from __future__ import annotations

import httpx
import pytest

from dspex_actors.api.docs_page import POLICY
from dspex_actors.api.routes import ROUTES
from tests.protocol.api.serving import run
from tests.unit.api.fake_runtime import FakeRuntime

READ = [route.path for route in ROUTES if route.method == "GET" and "{" not in route.path and route.status == 200]


@pytest.mark.parametrize(("parts", "code"), [(["store", "hosts"], "no_capacity"), (["draining"], "draining")])
def test_a_service_that_is_not_ready_names_the_parts_that_are_not(parts: list[str], code: str) -> None:
    """To anybody, and with a time to ask again."""
    runtime = FakeRuntime()
    runtime.parts = parts
    answer = run(lambda client: client.get("/readyz"), runtime, key=None)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, code, "1")
    assert all(part in answer.json()["detail"] for part in parts)


def test_a_service_that_is_not_ready_is_alive() -> None:
    """Nobody should restart it for that."""
    runtime = FakeRuntime()
    runtime.parts = ["store"]
    assert run(lambda client: client.get("/livez"), runtime, key=None).status_code == 200


@pytest.mark.parametrize("path", READ)
def test_head_says_what_get_would_without_the_body(path: str) -> None:
    """Also how long it would be."""

    async def scenario(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        return await client.head(path), await client.get(path)

    head, got = run(scenario)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert head.headers["content-length"] == got.headers["content-length"]


def test_the_tree_and_the_info_are_the_runtimes_own() -> None:
    """The surface adds nothing."""
    assert run(lambda client: client.get("/v1/tree")).json()["id"] == "root"
    assert run(lambda client: client.get("/info")).json() == {"version": "0.1.0", "mock": True}


def test_every_call_that_the_document_names_is_served() -> None:
    """The document comes from the service itself; an address without a call is 404, one without a method 405."""

    async def scenario(client: httpx.AsyncClient) -> list[str]:
        unserved = []
        for path, operations in (await client.get("/openapi.json")).json()["paths"].items():
            for method in operations:
                answer = await client.request(method, path.replace("{", "").replace("}", ""))
                known = answer.status_code not in {404, 405} or "nothing at this address" not in answer.json()["detail"]
                unserved += [] if known and answer.status_code != 405 else [f"{method} {path}"]
        return unserved

    assert run(scenario) == []


def test_the_documentation_page_is_served_under_its_policy() -> None:
    """HTML that loads nothing from anywhere else."""
    answer = run(lambda client: client.get("/docs"))
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_turns_of_a_session_include_the_failed_ones_when_asked() -> None:
    """Only then."""

    async def scenario(client: httpx.AsyncClient) -> tuple[int, int]:
        plain = (await client.get("/v1/sessions/s/turns")).json()["items"]
        failed = (await client.get("/v1/sessions/s/turns?include=failed")).json()["items"]
        return len(plain), len(failed)

    assert run(scenario) == (0, 1)
