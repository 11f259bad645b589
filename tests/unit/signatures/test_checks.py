"""Inputs against declared types: strict, all at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from dspex_actors.errors import InvalidRequest
from dspex_actors.signatures.bridge import history_field, signature_from
from dspex_actors.signatures.checks import Field, FieldChecks


class Person(BaseModel):
    """A model of the user's."""

    name: str
    age: int | None = None


def of_type(annotation: Any) -> FieldChecks:
    """Checks with one field, `x`."""
    return FieldChecks([Field("x", annotation)])


def test_all_problems_are_told_at_once() -> None:
    """Each with its place; the sentence says what the fields are."""
    signature = signature_from("question: str, n: int, history: dspy.History -> answer: str")
    checks = FieldChecks.of_inputs(signature, history_field(signature))
    with pytest.raises(InvalidRequest, match=r"The fields are question: str, n: int\.") as caught:
        checks.validate({"n": "5", "history": [], "other": 1})
    assert {(tuple(p["loc"]), p["type"]) for p in caught.value.errors} == {
        (("inputs", "question"), "missing"),
        (("inputs", "n"), "int_type"),
        (("inputs", "history"), "history"),
        (("inputs", "other"), "extra"),
    }
    assert "the session keeps the history itself; leave it out" in caught.value.detail


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (str, ["", "é"], [1, None, ["a"]]),
        (int, [0, -5, 2**70], ["5", 5.0, True]),
        (float, [3, 3.5], ["3", True, float("nan"), None]),
        (bool, [True], [1, "true"]),
        (int | None, [1, None], ["1"]),
        (int | str, [1, "1"], [1.5]),
        (list[int], [[], [1]], [["1"], {}, "1"]),
        (dict[str, float], [{}, {"a": 1}], [{"a": "1"}, []]),
        (Literal["a", "b"], ["a"], ["c", 1]),
        (datetime, ["2026-01-01T00:00:00Z"], ["soon", 5]),
        (Person, [{"name": "Ann"}], [{"name": 3}, {"age": 3}, "Ann"]),
        (list[Person], [[{"name": "Ann", "age": 3}]], [[{"name": "Ann", "age": "3"}]]),
        (Any, [None, {"a": [1]}], [float("inf"), object()]),
    ],
)
def test_types_are_strict_as_in_json(annotation: Any, good: list[Any], bad: list[Any]) -> None:
    """Nothing is coerced."""
    checks = of_type(annotation)
    for value in good:
        checks.validate({"x": value})
    for value in bad:
        with pytest.raises(InvalidRequest):
            checks.validate({"x": value})


def test_fields_with_defaults_may_be_left_out() -> None:
    """And are checked when they are there."""
    checks = FieldChecks([Field("a", str), Field("b", int, required=False)])
    checks.validate({"a": "x"})
    with pytest.raises(InvalidRequest, match="b: Input should be a valid integer"):
        checks.validate({"a": "x", "b": "y"})


def test_conversion_gives_what_python_declares() -> None:
    """Plain JSON types stay the same object."""
    values = {"at": "2026-01-01T00:00:00Z", "who": {"name": "Ann"}, "n": 1}
    checks = FieldChecks([Field("at", datetime), Field("who", Person), Field("n", int)])
    assert checks.convert(values) == {"at": datetime(2026, 1, 1, tzinfo=UTC), "who": Person(name="Ann"), "n": 1}
    assert of_type(list[str]).convert(values) is values


def test_a_type_without_a_json_form_is_refused_when_the_checks_are_made() -> None:
    """Not at the first turn."""
    with pytest.raises(InvalidRequest, match="which JSON cannot carry"):
        of_type(type(lambda: None))


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
TYPED: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, st.text()),
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False) | st.integers(-1000, 1000)),
    (bool, st.booleans()),
    (list[str], st.lists(st.text())),
    (dict[str, int], st.dictionaries(st.text(), st.integers())),
    (int | None, st.none() | st.integers()),
]
CHECKS = [(of_type(annotation), annotation, values) for annotation, values in TYPED]


@given(st.sampled_from(CHECKS).flatmap(lambda known: st.tuples(st.just(known[0]), known[2])))
def test_a_value_of_the_type_is_always_accepted(case: tuple[FieldChecks, Any]) -> None:
    """Whatever it is."""
    checks, value = case
    checks.validate({"x": value})


def fits(annotation: Any, value: Any) -> bool:
    """An independent judge of the types in `TYPED`."""
    if annotation == list[str]:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if annotation == dict[str, int]:
        return isinstance(value, dict) and all(type(item) is int for item in value.values())
    if annotation is float:
        return type(value) is int or (type(value) is float and value - value == 0)
    return type(value) in {str: (str,), int: (int,), bool: (bool,)}.get(annotation, (int, type(None)))


@given(st.sampled_from(CHECKS), JSON)
def test_a_value_of_another_type_is_always_refused(
    known: tuple[FieldChecks, Any, st.SearchStrategy[Any]], value: Any
) -> None:
    """With InvalidRequest, never with anything else."""
    checks, annotation, _ = known
    if fits(annotation, value):
        checks.validate({"x": value})
    else:
        with pytest.raises(InvalidRequest):
            checks.validate({"x": value})


@given(JSON)
def test_whatever_is_sent_the_only_error_is_invalid_request(values: Any) -> None:
    """Also when it is not an object at all."""
    with pytest.raises(InvalidRequest):
        FieldChecks([Field("a-name-that-is-not-sent", str)]).validate(values)
