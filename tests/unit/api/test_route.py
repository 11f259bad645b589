"""Finding what is at an address."""

from __future__ import annotations

import pytest

from dspex_actors.api.problems import MethodNotAllowed
from dspex_actors.api.route import Route, find, tree_of
from dspex_actors.api.routes import ROUTES

ROOT = tree_of(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_of_the_table_is_found_with_its_parameters(route: Route) -> None:
    """The address with names in the place of parameters."""
    found = find(ROOT, route.path.replace("{", "x-").replace("}", ""))
    assert found is not None
    assert found[0].route(route.method) is route
    assert found[1] == [f"x-{name}" for name in route.params]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/sessions/",
        "/v1/sessions/a/",
        "/v1/sessions/a/predict/",
        "//livez",
        "/livez/",
        "/V1",
    ],
)
def test_nothing_else_is_found(path: str) -> None:
    """No trailing slash, no part of an address, no other case."""
    found = find(ROOT, path)
    assert found is None or found[1] == [""]


def test_an_encoded_slash_belongs_to_the_name() -> None:
    """Addresses are cut before they are decoded."""
    found = find(ROOT, "/v1/sessions/a%2Fturns")
    assert found is not None
    assert found[1] == ["a/turns"]


def test_head_is_get_and_other_methods_are_refused_with_those_allowed() -> None:
    """What an address takes is said."""
    found = find(ROOT, "/v1/sessions/a")
    assert found is not None
    assert found[0].route("HEAD").method == "GET"
    with pytest.raises(MethodNotAllowed) as refused:
        found[0].route("PUT")
    assert refused.value.allowed == "DELETE, GET, HEAD, PATCH"
