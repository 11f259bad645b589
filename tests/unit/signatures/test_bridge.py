"""String signatures: what is read, and what is refused with which sentence."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, Literal

import dspy  # type: ignore[import-untyped]
import pytest

from dspex_actors.errors import InvalidRequest, UnknownType
from dspex_actors.signatures.bridge import history_field, signature_from


def test_names_types_and_instructions_are_read() -> None:
    """Untyped fields are text, as in DSPy."""
    made = signature_from(
        "question, tags: list[str], at: datetime.datetime -> answer: Literal['a', 'b'], n: int | None", "Do it."
    )
    types = {name: info.annotation for name, info in made.fields.items()}
    assert types == {
        "question": str,
        "tags": list[str],
        "at": datetime,
        "answer": Literal["a", "b"],
        "n": int | None,
    }
    assert made.instructions == "Do it."


def test_the_history_field_is_found() -> None:
    """By its type, whatever its name."""
    assert history_field(signature_from("q, past: dspy.History -> a")) == "past"
    assert history_field(signature_from("q -> a")) is None


@pytest.mark.parametrize("name", ["Foo", "os", "dspy.Tool", "antigravity", "sys.modules", "list[Foo]", "int | Foo"])
def test_unknown_type_names_the_known_ones(name: str) -> None:
    """And imports nothing to find out."""
    sys.modules.pop("antigravity", None)
    with pytest.raises(UnknownType, match=r"Use one of str, int.*like `question: str") as caught:
        signature_from(f"q: {name} -> a")
    assert caught.value.errors[0]["loc"] == ["signature"]
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "text",
    [
        "",
        "question",
        "a -> b -> c",
        "a ->",
        "a b -> c",
        "a: str = 'x' -> b",
        "*a -> b",
        "**a -> b",
        "a, /, b -> c",
        "a -> b): pass\ndef g(x",
        "a: int() -> b",
        "a: 3 -> b",
        "a: Literal[x] -> b",
        "a -> a",
        "a, a -> b",
        "_a -> b",
        "model_x -> b",
        "lm -> b",
        "a: Optional[int, str] -> b",
        "a: str[int] -> b",
        "a: " + "list[" * 3000 + "int" + "]" * 3000 + " -> b",
        "a" * 10_001 + " -> b",
    ],
)
def test_anything_else_is_refused_and_the_form_is_shown(text: str) -> None:
    """Nothing is dropped in silence: no defaults, no stars, no duplicates."""
    with pytest.raises(InvalidRequest, match="Write it like `question: str"):
        signature_from(text)


def test_types_of_the_caller_are_not_found() -> None:
    """DSPy would look into the frames above; a client's text must not."""

    class Local(dspy.Signature):  # type: ignore[misc]
        """Only known here."""

    assert Local is not None
    with pytest.raises(UnknownType):
        signature_from("q: Local -> a")


def test_two_histories_are_refused() -> None:
    """DSPy would use the first only."""
    made: Any = signature_from("a: dspy.History, b: dspy.History -> c")
    with pytest.raises(InvalidRequest, match=r"one dspy\.History field"):
        history_field(made)
