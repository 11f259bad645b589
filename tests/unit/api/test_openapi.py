"""The OpenAPI document says what the table of routes says."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

import pytest

from dspex_actors.api.openapi import document
from dspex_actors.api.problems import PROBLEMS
from dspex_actors.api.routes import ROUTES
from dspex_actors.api.schemas import Schema
from dspex_actors.api.turn_body import FIELDS

# jsonschema comes with Ray and has no types of its own.
Draft202012Validator = importlib.import_module("jsonschema").Draft202012Validator
DOCUMENT = document(ROUTES, "1.2.3")
OPERATIONS = {
    (method.upper(), path): operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def refs(value: object) -> Iterator[str]:
    """Every pointer in the document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from refs(one)


def test_the_document_and_the_table_have_the_same_calls() -> None:
    """Each once."""
    assert set(OPERATIONS) == {(route.method, route.path) for route in ROUTES}
    assert len(OPERATIONS) == len(ROUTES)


def test_the_document_has_what_openapi_3_1_requires() -> None:
    """Version, info, a description for every answer, and ids that are unique."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == "1.2.3"
    assert len({operation["operationId"] for operation in OPERATIONS.values()}) == len(OPERATIONS)
    answers = [answer for operation in OPERATIONS.values() for answer in operation["responses"].values()]
    assert all(answer["description"] for answer in answers)


def test_a_body_is_required_where_it_has_required_fields() -> None:
    """Most operations need none."""
    bodies = {key: operation["requestBody"] for key, operation in OPERATIONS.items() if "requestBody" in operation}
    assert [path for (_, path), body in bodies.items() if not body["required"]] == [
        "/v1/sessions/{id}/fork",
        "/v1/sessions/{id}/cancel",
        "/v1/sessions/{id}/migrate",
        "/v1/hosts/{id}/drain",
    ]


def test_every_pointer_leads_somewhere_and_every_schema_is_used() -> None:
    """No dead ends, no dead weight."""
    pointed = set(refs(DOCUMENT))
    kinds = ((kind, DOCUMENT["components"][kind]) for kind in ("schemas", "headers"))
    assert pointed == {f"#/components/{kind}/{name}" for kind, made in kinds for name in made}


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_schema_is_a_json_schema(name: str) -> None:
    """Of the draft that OpenAPI 3.1 uses."""
    Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_operation_declares_its_path_parameters_and_its_key(method: str, path: str) -> None:
    """As the path and the scope say."""
    operation: Schema = OPERATIONS[method, path]
    declared = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
    assert declared == set(re.findall(r"{(\w+)}", path))
    assert ("security" in operation) == (path in {"/livez", "/readyz", "/login"})
    assert ("401" in operation["responses"]) == (path not in {"/livez", "/readyz"})


def test_the_predict_schema_and_its_checks_agree() -> None:
    """A body that the schema takes is one that the checks take."""
    schema = DOCUMENT["components"]["schemas"]["PredictRequest"]
    good = {"inputs": {}, "timeout_s": 1.5, "expected_turn": 2, "cancel_on_disconnect": True}
    bad = {"inputs": 1, "timeout_s": 0, "expected_turn": 0, "cancel_on_disconnect": 1}
    for name, (check, _, _) in FIELDS.items():
        validator = Draft202012Validator(schema["properties"][name])
        assert (check(good[name]), validator.is_valid(good[name])) == (True, True)
        assert (check(bad[name]), validator.is_valid(bad[name])) == (False, False)


def test_the_problem_schema_names_every_code() -> None:
    """A client can switch over them."""
    assert DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == sorted(PROBLEMS)
