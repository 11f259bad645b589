"""Who gets in: keys, scopes, cookies."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from dspex_actors.api.route import Route
from dspex_actors.api.routes import ROUTES
from tests.protocol.api.serving import prepare, run
from tests.unit.api.fake_runtime import ADMIN, READER, WRITER, FakeRuntime

PUBLIC = {"/livez", "/readyz"}
CLOSED = [route for route in ROUTES if route.path not in PUBLIC]
SESSION = {"program": "qa"}


def address(route: Route) -> str:
    """The route's path with names in the place of its parameters."""
    return route.path.replace("{", "").replace("}", "")


def named(route: Route) -> str:
    """What the test report calls a route."""
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Cookie": "dspex_key=wrong"}])
@pytest.mark.parametrize("route", CLOSED, ids=named)
def test_a_request_without_a_good_key_gets_nothing(route: Route, headers: dict[str, str]) -> None:
    """Not even whether its body or its method is right."""
    answer = run(lambda client: client.request(route.method, address(route), headers=headers), key=None)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/", "/v1", "/nothing", "/v1/sessions/s/nothing", "/docs/", "/livez/x"])
def test_an_address_that_is_not_there_looks_like_one_that_is(path: str) -> None:
    """Without a key there is no map to be drawn."""
    assert run(lambda client: client.get(path), key=None).status_code == 401


def test_only_the_two_health_checks_are_public_and_say_their_status_alone() -> None:
    """The table of routes agrees."""
    assert {route.path for route in ROUTES if route.scope is None} == PUBLIC
    assert run(lambda client: client.get("/livez"), key=None).json() == {"status": "live"}
    assert run(lambda client: client.get("/readyz"), key=None).json() == {"status": "ready"}


@pytest.mark.parametrize("value", ["", "Bearer", "Basic YTpi", "admin-key", "Bearer\tadmin-key", "Bearer \xff"])
def test_a_malformed_authorization_is_refused_even_beside_a_good_cookie(value: str) -> None:
    """What was sent first-hand counts."""

    async def scenario(client: httpx.AsyncClient) -> httpx.Response:
        headers = [(b"authorization", value.encode("latin-1")), (b"cookie", _cookie(client).encode())]
        return await client.get("/info", headers=headers)

    assert run(scenario, key=None).status_code == 401


def test_the_scheme_of_the_authorization_may_have_any_case() -> None:
    """RFC 9110."""
    answer = run(lambda client: client.get("/info", headers={"Authorization": f"bearer {READER}"}), key=None)
    assert answer.status_code == 200


@pytest.mark.parametrize(("key", "rank"), [(READER, 0), (WRITER, 1), (ADMIN, 2)])
@pytest.mark.parametrize("route", [route for route in CLOSED if not route.open_login], ids=named)
def test_a_key_gets_as_far_as_its_scopes(route: Route, key: str, rank: int) -> None:
    """Reading, writing to sessions, changing programs: each includes what is before it."""
    answer = run(lambda client: client.request(route.method, address(route)), FakeRuntime(), key)
    needed = ("read", "write", "admin").index(route.scope or "read")
    assert (answer.status_code == 403) == (rank < needed)
    assert answer.status_code != 401


def _cookie(client: httpx.AsyncClient, key: str = ADMIN) -> str:
    return f"other=1; dspex_key_{client.base_url.port}={key}"


def test_a_browser_signs_in_and_is_sent_to_the_documentation() -> None:
    """With a cookie that no script reads and no other site sends."""

    async def scenario(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        return await client.get(f"/login?key={ADMIN}"), await client.get("/docs")

    answer, after = run(scenario, FakeRuntime(), key=None)
    assert (answer.status_code, answer.headers["location"], after.status_code) == (303, "/docs", 200)
    attributes = set(answer.headers["set-cookie"].split("; ")[1:])
    assert attributes == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert ADMIN not in answer.text


def test_a_key_of_any_characters_survives_the_cookie() -> None:
    """It may come from the environment."""
    runtime = FakeRuntime()
    odd = 'a;b, ü=%"\\'
    runtime.keys[odd] = runtime.keys[ADMIN]

    async def scenario(client: httpx.AsyncClient) -> httpx.Response:
        await client.get("/login", params={"key": odd})
        return await client.get("/info")

    assert run(scenario, runtime, key=None).status_code == 200


@pytest.mark.parametrize("query", ["", "?key=", "?key=wrong"])
def test_signing_in_with_a_wrong_key_sets_no_cookie(query: str) -> None:
    """401, and nothing else."""
    answer = run(lambda client: client.get(f"/login{query}"), key=None)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_no_key_is_in_the_log_of_a_server(caplog: pytest.LogCaptureFixture) -> None:
    """Whether it was right or wrong, and wherever it stood."""

    async def scenario(client: httpx.AsyncClient) -> None:
        for path in (f"/login?key={ADMIN}", "/login?key=wrong-key", f"/docs?key={ADMIN}", f"/nothing?key={ADMIN}"):
            await client.get(path)

    logging.getLogger("httpx").setLevel(logging.WARNING)
    with caplog.at_level(logging.INFO, "uvicorn"):
        run(scenario, FakeRuntime(), key=None, access_log=True)
    assert "/login" in caplog.text
    assert ADMIN not in caplog.text
    assert "wrong-key" not in caplog.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[bad"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "own"}, 201),
    ],
)
def test_a_signed_in_browser_changes_things_from_our_own_pages_only(headers: dict[str, str], status: int) -> None:
    """Another port of the same machine is another site."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> httpx.Response:
        await prepare(client)
        sent = {name: value.replace("own", str(client.base_url).rstrip("/")) for name, value in headers.items()}
        del client.headers["Authorization"]
        return await client.post("/v1/sessions", json=SESSION, headers={**sent, "Cookie": _cookie(client)})

    assert run(scenario, runtime).status_code == status


def test_a_bearer_key_is_taken_from_anywhere() -> None:
    """No browser sends it by itself."""
    headers: Any = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}
    assert run(lambda client: client.post("/v1/sessions", json=SESSION, headers=headers)).status_code == 201
