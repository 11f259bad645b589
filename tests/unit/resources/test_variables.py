"""Variables: what each type takes, what a bad value hears, and what is in place of one that is no longer allowed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.errors import InvalidRequest, NotFound
from dspex_actors.resources.program import ProgramChange, ProgramSpec
from dspex_actors.resources.session import SessionChange
from dspex_actors.resources.variables import Own, Variable, checked, current, merged, parse_declared

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=6,
)
KINDS: list[dict[str, Any]] = [
    {"type": "float", "range": [0, 1], "step": 0.1},
    {"type": "int", "range": [None, 9]},
    {"type": "bool"},
    {"type": "string", "pattern": "a*b?", "max_length": 3},
    {"type": "choice", "choices": ["a", 1, 2.5]},
    {"type": "list", "items": {"type": "int"}, "min_length": 1},
    {"type": "json"},
]


@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        ({"type": "float", "range": [0, 1], "step": 0.1}, [0, 1, 0.3, 0.7], [-0.1, 1.1, 0.25, "1", True, None]),
        ({"type": "float", "range": [None, 2]}, [-1e300, 2], [2.1, float("nan"), float("inf")]),
        ({"type": "float", "step": 0.01}, [0, 0.25, 1e9], [0.001, 1e308, -1e308]),
        ({"type": "int", "range": [1, 9], "step": 2}, [1, 3, 9], [2, 11, 3.0, True, "3"]),
        ({"type": "bool"}, [True, False], [0, "true", None]),
        ({"type": "string", "pattern": "[a-z]+", "max_length": 3}, ["a", "abc"], ["abcd", "A", "", "a\n", 1]),
        ({"type": "string", "min_length": 2}, ["ab"], ["a", "\ud83d\ud83d"]),
        ({"type": "choice", "choices": ["a", 1]}, ["a", 1], [True, 1.0, "b", None]),
        ({"type": "list", "items": {"type": "int"}, "max_length": 2}, [[], [1, 2]], [[1, 2, 3], ["a"], "ab", {}]),
        ({"type": "list"}, [[1, "a", None]], [[object()], [2**70]]),
        ({"type": "json"}, [None, {"a": [1]}], [{1: 2}, object(), [float("inf")], {"a": float("nan")}, (1, 2)]),
    ],
)
def test_a_type_takes_what_obeys_it(declared: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    """And nothing else: no number is taken for a truth, no text for a number."""
    variable = parse_declared({"v": declared})["v"]
    assert [variable.problem(value) for value in good] == [None] * len(good)
    assert [value for value in bad if variable.problem(value) is None] == []


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"type": "number"}, "'float', 'int'"),
        ({"type": "int", "pattern": "a"}, "pattern is for string, not for int"),
        ({"type": "choice"}, "a choice needs choices"),
        ({"type": "int", "default": "x"}, "default must be a whole number"),
        ({"type": "string", "pattern": "("}, "no regular expression"),
        ({"type": "float", "step": 0}, "greater than 0"),
        ({"type": "int", "colour": 1}, "Extra inputs"),
    ],
)
def test_a_declaration_that_cannot_be_says_why(declared: dict[str, Any], said: str) -> None:
    """With its place."""
    with pytest.raises(InvalidRequest, match=said) as caught:
        parse_declared({"v": declared})
    assert caught.value.errors[0]["loc"][:2] == ["variables", "v"]


def test_names_are_names_and_not_too_many() -> None:
    """The same rule as for sessions."""
    with pytest.raises(InvalidRequest):
        parse_declared({"a b": {"type": "int"}})
    with pytest.raises(InvalidRequest, match="100 variables"):
        parse_declared({f"v{number}": {"type": "int"} for number in range(101)})


def test_a_pattern_takes_linear_time() -> None:
    """A host's loop matches it: the worst one of a backtracking engine is done at once."""
    variable = Variable(type="string", pattern="(a|a)*(a|a)*(a|a)*b")
    began = time.process_time()
    assert variable.problem("a" * 5_000) is not None
    assert time.process_time() - began < 2


def test_every_wrong_value_is_named() -> None:
    """Unknown names first, with those that there are."""
    declared = parse_declared({"a": {"type": "int"}, "b": {"type": "bool"}})
    with pytest.raises(InvalidRequest, match="a must be a whole number; b must be true or false") as caught:
        checked(declared, {"a": "x", "b": 1})
    assert [(error["loc"], error["type"]) for error in caught.value.errors] == [
        (["values", "a"], "int_type"),
        (["values", "b"], "bool_type"),
    ]
    with pytest.raises(NotFound, match="the session has a, b"):
        checked(declared, {"c": 1, "a": "x"})
    with pytest.raises(NotFound, match="has none"):
        checked({}, {"c": 1})


@given(st.sampled_from(KINDS), JSON)
def test_a_value_that_is_kept_stays_allowed(kind: dict[str, Any], value: Any) -> None:
    """And is found again; one that is not allowed is out of sight."""
    declared = parse_declared({"v": kind})
    if declared["v"].problem(value) is None:
        kept = checked(declared, {"v": value})
        assert current(declared, {}, kept) == kept
        assert merged({"w": 1}, kept) == {"w": 1, **kept}
    else:
        assert current(declared, {"v": value}, {"v": value}) == {"v": None}


@given(st.sampled_from(KINDS), JSON)
def test_declarations_survive_being_written_down(kind: dict[str, Any], value: Any) -> None:
    """A program's as its specification, a session's with its row."""
    declared = parse_declared({"v": kind})
    spec = ProgramSpec(name="p", variables=dict(declared))
    assert ProgramSpec.model_validate(spec.model_dump(mode="json"), strict=False) == spec
    assert Own.parse(Own(declared, {"v": value}).dump()) == Own(declared, {"v": value})
    assert Own().dump() is None


def test_a_changed_program_has_what_is_named_and_keeps_the_rest() -> None:
    """Null takes away, and only what can be left out."""
    spec = ProgramSpec(name="p", signature="q -> a", params={"n": 1}, lm="x")
    assert ProgramChange(params={"n": 2}, lm=None).of(spec) == ProgramSpec(
        name="p", signature="q -> a", params={"n": 2}
    )
    for change in (ProgramChange, SessionChange):
        with pytest.raises(ValueError, match="name what to change"):
            change()
