"""Values for schemas: bounds, lengths and recursion."""

from __future__ import annotations

import json
from typing import Annotated, Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from dspex_actors.lm.schema_value import value_for


class Ring(BaseModel):
    """Two models that hold each other, one of them many times."""

    links: list[Link]
    by_name: dict[str, Ring] = {}


class Link(BaseModel):
    """The other half."""

    ring: Ring | None
    label: str


def obeys(kind: Any) -> None:
    """Build a value from the type's schema and validate it against the type, by way of JSON."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    adapter.validate_json(json.dumps(value_for(adapter.json_schema(), "a mock says")))


@given(low=st.integers(-50, 50), span=st.integers(3, 60), step=st.sampled_from([1, 2, 3]), open_ends=st.booleans())
def test_whole_numbers_stay_within_their_bounds(low: int, span: int, step: int, open_ends: bool) -> None:
    """With open and closed ends, and in steps."""
    ends: dict[str, Any] = {"gt": low - 1, "lt": low + span + 1} if open_ends else {"ge": low, "le": low + span}
    obeys(Annotated[int, Field(multiple_of=step, **ends)])


@given(low=st.integers(-50, 50), span=st.floats(0.01, 60), one=st.sampled_from(["gt", "ge", "lt", "le", "both"]))
def test_real_numbers_stay_within_their_bounds(low: int, span: float, one: str) -> None:
    """With one end or two."""
    ends: dict[str, Any] = {"gt": low, "lt": low + span} if one == "both" else {one: low}
    obeys(Annotated[float, Field(**ends)])


@given(least=st.integers(0, 40), more=st.integers(0, 40))
def test_texts_and_lists_have_an_allowed_length(least: int, more: int) -> None:
    """Short and long."""
    obeys(Annotated[str, Field(min_length=least, max_length=least + more)])
    obeys(Annotated[list[int], Field(min_length=least, max_length=least + more)])


def test_a_type_that_holds_itself_ends() -> None:
    """After a few levels."""
    obeys(Ring)
    obeys(Link)
