"""Predictions as JSON."""

from __future__ import annotations

from datetime import date
from enum import Enum, StrEnum
from typing import Any

import dspy  # type: ignore[import-untyped]
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from dspex_actors.errors import OutputInvalid
from dspex_actors.signatures.bridge import signature_from
from dspex_actors.signatures.checks import FieldChecks
from dspex_actors.signatures.outputs import MAX_DEPTH, Outputs


class Colour(Enum):
    """Not text itself."""

    RED = "red"


class Size(StrEnum):
    """Text itself."""

    BIG = "big"


class Box(BaseModel):
    """A model in a model's place."""

    colour: Colour
    day: date
    weight: float = 1.0


def test_models_enums_times_and_dspy_types_become_plain_json() -> None:
    """What goes into the journal is data."""
    prediction = dspy.Prediction(
        box=Box(colour=Colour.RED, day=date(2026, 1, 2)),
        size=Size.BIG,
        pairs=[(1, {2: None})],
        code=dspy.Code(code="x = 1"),
        image=dspy.Image(url="https://example.com/a.png"),
        inner=dspy.Prediction(a=1),
    )
    assert Outputs().dump(prediction) == {
        "box": {"colour": "red", "day": "2026-01-02", "weight": 1.0},
        "size": "big",
        "pairs": [[1, {"2": None}]],
        "code": "x = 1",
        "image": {"url": "https://example.com/a.png"},
        "inner": {"a": 1},
    }


def test_only_the_declared_fields_are_taken() -> None:
    """In the signature's order."""
    outputs = Outputs(["b", "a"]).dump(dspy.Prediction(a=1, b=2, c=3))
    assert list(outputs.items()) == [("b", 2), ("a", 1)]


def nested(levels: int) -> Any:
    """A list in a list in a list."""
    return [nested(levels - 1)] if levels else []


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        [float("inf")],
        Box(colour=Colour.RED, day=date(2026, 1, 1), weight=float("nan")),
        2**64,
        object(),
        "\ud800",
        nested(MAX_DEPTH + 1),
        b"\xff",
    ],
)
def test_what_json_cannot_carry_is_refused(value: Any) -> None:
    """The sentence names the field and shows nothing of the value."""
    with pytest.raises(OutputInvalid, match=r"The output `x` is or holds .* Return plain data"):
        Outputs().dump(dspy.Prediction(x=value))


def test_a_missing_field_and_a_wrong_type_are_refused() -> None:
    """Where a user's module promised a signature."""
    signature = signature_from("q -> n: int, text: str")
    outputs = Outputs(signature.output_fields, FieldChecks.of_outputs(signature))
    with pytest.raises(OutputInvalid, match="lacks text"):
        outputs.dump(dspy.Prediction(n=1))
    with pytest.raises(OutputInvalid, match="n: Input should be a valid integer"):
        outputs.dump(dspy.Prediction(n="1", text=""))
    assert outputs.dump(dspy.Prediction(n=1, text="")) == {"n": 1, "text": ""}


@pytest.mark.parametrize("value", ["text", None, {"answer": 1}, dspy.Example(answer=1)])
def test_anything_but_a_prediction_is_refused(value: Any) -> None:
    """The sentence says what to return."""
    with pytest.raises(OutputInvalid, match=r"Return dspy\.Prediction"):
        Outputs().dump(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(max_size=3),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.frozensets(st.text()),
        max_leaves=8,
    )
)
def test_what_is_dumped_can_always_be_written(value: Any) -> None:
    """The journal's encoder takes it and gives it back."""
    try:
        outputs = Outputs().dump(dspy.Prediction(x=value))
    except OutputInvalid:
        return
    assert orjson.loads(orjson.dumps(outputs)) == outputs
