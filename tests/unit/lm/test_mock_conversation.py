"""The mock's strings tell what it was shown."""

from __future__ import annotations

import dspy  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.lm.mocked import mocked

CHAT = "question, history: dspy.History -> answer"


def adapter_of(name: str) -> object:
    """The adapter of that name; None means the folder's strict ChatAdapter."""
    return dspy.JSONAdapter() if name == "json" else None


def turn(question: str) -> dict[str, str]:
    """One earlier turn of a conversation."""
    return {"question": question, "answer": f"reply to {question}"}


def test_an_answer_says_that_it_is_a_mock_and_to_what() -> None:
    """The sentence that users read on their first run."""
    with mocked():
        answer = dspy.Predict("question -> answer")(question="What is 2+2?").answer
    assert answer == "mock answer to 'What is 2+2?' (earlier turns shown: 0)"


@pytest.mark.parametrize("adapter", ["chat", "json"])
def test_an_answer_counts_and_quotes_the_earlier_turns(adapter: str) -> None:
    """An answer depends on what was said before."""
    history = dspy.History(messages=[turn("hello"), turn("and then?")])
    with mocked(adapter=adapter_of(adapter)):
        answer = dspy.Predict(CHAT)(question="now?", history=history).answer
    assert answer == "mock answer to 'now?' (earlier turns shown: 2) after 'hello', 'and then?'"


@pytest.mark.parametrize("adapter", ["chat", "json"])
def test_few_shot_demos_are_not_earlier_turns(adapter: str) -> None:
    """Demos come as user and assistant messages too, but without the reminder of the format."""
    program = dspy.Predict(CHAT)
    program.demos = [{"question": "demo", "answer": "x"}, {**turn("full"), "history": dspy.History(messages=[])}]
    with mocked(adapter=adapter_of(adapter)):
        answer = program(question="now?", history=dspy.History(messages=[turn("hello")])).answer
    assert answer == "mock answer to 'now?' (earlier turns shown: 1) after 'hello'"


@settings(max_examples=40)
@given(questions=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80), max_size=8))
def test_the_count_is_the_number_of_turns_in_the_history(questions: list[str]) -> None:
    """Whatever the turns say."""
    history = dspy.History(messages=[turn(question) for question in questions])
    with mocked():
        answer = dspy.Predict(CHAT)(question="now?", history=history).answer
    assert f"(earlier turns shown: {len(questions)})" in answer


def test_a_turn_without_inputs_counts() -> None:
    """Such an event has an assistant message only."""
    history = dspy.History(messages=[{"answer": "by the way"}, turn("hello")])
    with mocked():
        assert "(earlier turns shown: 2) after 'hello'" in dspy.Predict(CHAT)(question="x", history=history).answer


def test_a_long_input_is_quoted_shortened_and_in_one_line() -> None:
    """An answer stays readable, and a million letters cost nothing."""
    with mocked():
        answer = dspy.Predict("question -> answer")(question="two\nlines " + "x" * 1_000_000).answer
    assert answer.startswith("mock answer to 'two lines xxx")
    assert len(answer) < 120


def test_the_first_input_field_is_the_one_that_is_quoted() -> None:
    """Inputs are quoted in the signature's order."""
    with mocked():
        answer = dspy.Predict("question, context -> answer")(question="why?", context="because").answer
    assert answer == "mock answer to 'why?' (earlier turns shown: 0)"


def test_a_plain_prompt_gets_a_plain_answer() -> None:
    """No adapter, no fields."""
    with mocked() as model:
        assert model("hello") == ["mock answer to 'hello' (earlier turns shown: 0)"]


def test_usage_counts_words_and_is_the_same_each_time() -> None:
    """Usage is deterministic and never zero."""
    with mocked(), dspy.context(track_usage=True):
        program = dspy.Predict("question -> answer")
        first, second = (program(question="What is 2+2?").get_lm_usage()["mock"] for _ in range(2))
    assert first == second
    assert first["prompt_tokens"] > first["completion_tokens"] > 0
    assert first["total_tokens"] == first["prompt_tokens"] + first["completion_tokens"]
