"""The adapter writes what DSPy's writes, to the character."""

from __future__ import annotations

from typing import Any

import dspy  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.programs.adapter import ChatAdapter
from dspex_actors.signatures.bridge import signature_from

PLAIN = signature_from("question: str, tags: list[str] -> answer: str, n: int", "Do it.")
TALK = signature_from("question: str, past: dspy.History -> reasoning: str, answer: str")
MINE = ChatAdapter()

TEXT = st.text(max_size=20) | st.just("[[ ## answer ## ]]\n")
TURN = st.fixed_dictionaries({"question": TEXT}, optional={"reasoning": TEXT, "answer": TEXT | st.none()})


@given(TEXT, st.lists(TEXT, max_size=2), st.lists(st.fixed_dictionaries({"question": TEXT, "answer": TEXT})))
def test_messages_without_a_history_are_the_same(question: str, tags: list[str], demos: list[Any]) -> None:
    """With demos, text and other values."""
    inputs = {"question": question, "tags": tags}
    assert MINE.format(PLAIN, demos, inputs) == dspy.ChatAdapter().format(PLAIN, demos, inputs)


@given(TEXT, st.lists(TURN, max_size=3))
def test_messages_with_a_history_are_the_same(question: str, turns: list[Any]) -> None:
    """Whatever fields the earlier turns have."""
    inputs = {"question": question, "past": dspy.History(messages=turns)}
    assert MINE.format(TALK, [], inputs) == dspy.ChatAdapter().format(TALK, [], dict(inputs))


@pytest.mark.parametrize("change", ["instructions", "description"])
def test_a_changed_signature_is_written_anew(change: str) -> None:
    """Optimizers assign instructions and descriptions in place."""
    signature = signature_from("question: str -> answer: str")
    MINE.format(signature, [], {"question": "q"})
    if change == "instructions":
        signature.instructions = "Something else."
    else:
        signature.output_fields["answer"].json_schema_extra["desc"] = "Something else."
    mine = MINE.format(signature, [], {"question": "q"})
    assert "Something else." in mine[0]["content"]
    assert mine == dspy.ChatAdapter().format(signature, [], {"question": "q"})


def test_images_in_the_history_are_sent_as_images() -> None:
    """The short way is for text; the rest goes DSPy's way."""
    image = dspy.Image(url="https://example.com/a.png")
    inputs = {"question": "q", "past": dspy.History(messages=[{"question": image, "answer": "a"}])}
    mine = MINE.format(TALK, [], inputs)
    assert mine == dspy.ChatAdapter().format(TALK, [], dict(inputs))
    assert any(isinstance(message["content"], list) for message in mine)
