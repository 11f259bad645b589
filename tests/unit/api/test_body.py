"""Bodies: nothing in them is guessed or lost."""

from __future__ import annotations

import pytest

from dspex_actors.api.body import MAX_DEPTH, MAX_ERRORS, parse_object, validated
from dspex_actors.errors import InvalidJson, InvalidRequest
from dspex_actors.resources.program import ProgramSpec


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":NaN}', b'{"a":1e999}', b'{"a":"\\ud800"}', b"{} {}"])
def test_what_is_not_json_is_invalid_json(body: bytes) -> None:
    """NaN, infinity and half surrogate pairs are not JSON either."""
    with pytest.raises(InvalidJson):
        parse_object(body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"[1]", "object_type"),
        (b"null", "object_type"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a":[{"b":1,"c":2,"b":3}]}', "duplicate_key"),
        (b'{"a":18446744073709551616}', "int_range"),
        (b'{"a":-9223372036854775809}', "int_range"),
        (b'{"a":' + b"9" * 300 + b"}", "int_range"),
        (b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "too_deep"),
    ],
)
def test_json_of_which_something_would_be_lost_is_an_invalid_request(body: bytes, kind: str) -> None:
    """The kind of the problem tells which rule it broke."""
    with pytest.raises(InvalidRequest) as refused:
        parse_object(body)
    assert [problem["type"] for problem in refused.value.errors] == [kind]


def test_the_deepest_and_largest_that_is_taken_is_taken_as_it_is() -> None:
    """The limits themselves are inside."""
    deep = b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)
    value = parse_object(b'{"low":-9223372036854775808,"high":18446744073709551615,"deep":' + deep + b"}")
    assert (value["low"], value["high"]) == (-(2**63), 2**64 - 1)


def test_a_wide_body_is_not_taken_for_a_deep_one() -> None:
    """Depth counts, not brackets."""
    assert len(parse_object(b'{"a":[' + b",".join([b"{}"] * 1000) + b"]}")["a"]) == 1000


def test_every_wrong_field_is_named_and_no_value_is_echoed() -> None:
    """The answer helps without repeating what may be a secret."""
    with pytest.raises(InvalidRequest) as refused:
        validated(ProgramSpec, {"name": "qa", "module": 7, "secret": "hunter2"})
    assert {tuple(problem["loc"]) for problem in refused.value.errors} == {("module",), ("secret",)}
    assert "hunter2" not in str(refused.value.problem())


def test_a_flood_of_wrong_fields_is_answered_in_few_words() -> None:
    """A large body cannot ask for a large answer."""
    with pytest.raises(InvalidRequest) as refused:
        validated(ProgramSpec, {"name": "qa", **{f"{i}" + "x" * 1000: 1 for i in range(1000)}})
    assert len(refused.value.errors) == MAX_ERRORS
    assert len(str(refused.value.problem())) < 10_000
