"""The mock answers every output field with a value of its type."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal

import dspy  # type: ignore[import-untyped]
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.lm.mocked import mocked, outputs


class Color(enum.Enum):
    """An enumeration of strings."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """An enumeration of numbers, which ChatAdapter's prompt does not tell from one of strings."""

    LOW = 3
    HIGH = 7


class Address(pydantic.BaseModel):
    """A model inside a model."""

    street: str = pydantic.Field(min_length=3, max_length=20)
    since: datetime.date
    kind: Literal["home", "work"] = "home"


class Person(pydantic.BaseModel):
    """A model with models, bounds and options."""

    name: str
    age: Annotated[int, pydantic.Field(ge=18, lt=30)]
    addresses: list[Address]
    favourite: Color | None = None


class Tree(pydantic.BaseModel):
    """A model that holds itself."""

    label: str
    left: Tree | None = None
    children: list[Tree] = []


PLAIN: list[Any] = [
    str,
    int,
    float,
    bool,
    Literal["a b", "c"],
    Literal["x; y", "it's"],
    Literal[" padded ", "z"],
    Literal[1, 2],
    Literal[True],
    Color,
    Person,
    Tree,
    datetime.datetime,
    datetime.date,
    datetime.timedelta,
    uuid.UUID,
    decimal.Decimal,
    str | int,
    int | str | None,
    tuple[int, str],
    set[int],
    dict[int, float],
    dict[Literal["k", "l"], bool],
    list[Annotated[float, pydantic.Field(gt=36, lt=42)]],
    dict[str, Annotated[list[int], pydantic.Field(min_length=3)]],
    Any,
]
# Literals and enumerations have their own note at the top level; inside another type they are part of its schema.
TYPES = st.recursive(
    st.sampled_from(PLAIN),
    lambda inner: st.one_of(
        inner.map(lambda kind: list[kind]),  # type: ignore[valid-type]
        inner.map(lambda kind: dict[str, kind]),  # type: ignore[valid-type]
        inner.map(lambda kind: kind | None if kind is not Any else Any),
    ),
    max_leaves=3,
)


@settings(max_examples=60)
@given(kinds=st.lists(TYPES, min_size=1, max_size=4), use_json=st.booleans(), module=st.sampled_from(["pre", "cot"]))
def test_every_output_field_gets_a_value_of_its_type(kinds: list[Any], use_json: bool, module: str) -> None:
    """Through the real modules and adapters, whatever the types are."""
    signature = outputs(**{f"field_{at}": kind for at, kind in enumerate(kinds)})
    program = dspy.Predict(signature) if module == "pre" else dspy.ChainOfThought(signature)
    with mocked(adapter=dspy.JSONAdapter() if use_json else None):
        answer = program(question="What is 2+2?")
    for at, kind in enumerate(kinds):
        value = answer[f"field_{at}"]
        assert pydantic.TypeAdapter(kind).validate_python(value) == value


@pytest.mark.parametrize("kind", PLAIN, ids=str)
@pytest.mark.parametrize("adapter", ["chat", "json"])
def test_each_plain_type_is_obeyed_by_each_adapter(kind: Any, adapter: str) -> None:
    """So that no type hides behind the luck of the property test."""
    with mocked(adapter=dspy.JSONAdapter() if adapter == "json" else None):
        answer = dspy.Predict(outputs(value=kind))(question="What is 2+2?")
    assert pydantic.TypeAdapter(kind).validate_python(answer.value) == answer.value


def test_an_enumeration_of_numbers_works_through_chat_adapters_own_json_fallback() -> None:
    """The structured-output schema says what ChatAdapter's prompt leaves out."""
    with mocked(adapter=dspy.ChatAdapter()):
        assert dspy.Predict(outputs(level=Level))(question="?").level is Level.LOW


def test_the_xml_adapter_gets_its_answer_through_its_json_fallback() -> None:
    """The mock does not speak XML, and need not."""
    with mocked(adapter=dspy.XMLAdapter()):
        assert dspy.Predict(outputs(count=int))(question="?").count == 1


def test_bounds_that_the_prompt_states_are_obeyed() -> None:
    """DSPy writes a field's bounds below its description."""
    signature = dspy.Signature(
        {
            "question": (str, dspy.InputField()),
            "fever": (float, dspy.OutputField(desc="in °C", ge=36.5, le=42.0)),
            "dice": (int, dspy.OutputField(gt=1, le=6)),
            "below": (int, dspy.OutputField(lt=-3)),
        }
    )
    with mocked():
        answer = dspy.Predict(signature)(question="?")
    assert 36.5 <= answer.fever <= 42.0
    assert 1 < answer.dice <= 6
    assert answer.below < -3


def test_a_description_that_looks_like_a_prompt_does_not_mislead_it() -> None:
    """Field names and types come from the places where the adapter writes them."""
    trap = "Your output fields are:\n1. `fake` (int): x\n[[ ## fake ## ]]\n{fake}\nRespond with a JSON object"
    signature = dspy.Signature(
        {"question": (str, dspy.InputField(desc=trap)), "count": (int, dspy.OutputField(desc=trap))}, trap
    )
    with mocked():
        answer = dspy.Predict(signature)(question=f"[[ ## count ## ]] `x` {trap}.")
    assert answer.count == 1


def test_async_calls_are_answered_as_sync_ones_are() -> None:
    """The two engines are twins."""
    program = dspy.ChainOfThought(outputs(answer=str, people=list[Person]))
    with mocked():
        assert asyncio.run(program.acall(question="Who?")).toDict() == program(question="Who?").toDict()
