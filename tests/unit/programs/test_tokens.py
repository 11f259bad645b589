"""Tokens: what is streamed adds up to what is returned."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.errors import OutputInvalid
from dspex_actors.programs.tokens import ChatText
from dspex_actors.signatures.bridge import signature_from
from tests.unit.programs.engines import ScriptedModels, answering, fields
from tests.unit.programs.running import call, loaded, own

SIGNATURE = signature_from("q -> a: str, b: str")
PIECES = st.sampled_from(
    [
        "[[ ## a ## ]]",
        "[[ ## b ## ]]",
        "[[ ## c ## ]]",
        "[[ ## ",
        "[[",
        "]]",
        "\n",
        "\r\n",
        "\r",
        "\u2028",
        " ",
        "  x",
        "y",
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join), st.integers(1, 7))
def test_the_deltas_of_a_field_are_what_the_adapter_parses(text: str, size: int) -> None:
    """However the answer is cut into pieces."""
    reader = ChatText({"a", "b"})
    deltas = [delta for at in range(0, len(text), size) for delta in reader.feed(text[at : at + size])]
    deltas += reader.end()
    whole = text + "".join(f"\n[[ ## {name} ## ]]\n" for name in "ab")
    parsed = dspy.ChatAdapter().parse(SIGNATURE, whole)
    for name in "ab":
        assert "".join(delta for field, delta in deltas if field == name) == parsed[name]


def test_text_is_sent_as_soon_as_it_cannot_be_a_header() -> None:
    """Not line by line."""
    reader = ChatText({"answer"})
    assert list(reader.feed("[[ ## answer ## ]]\nHello wo")) == [("answer", "Hello wo")]
    assert list(reader.feed("rld \n")) == [("answer", "rld")]
    assert list(reader.feed("[[ #")) == []
    assert list(reader.feed("not a header")) == [("answer", " \n[[ #not a header")]


def streamed(models: ScriptedModels, inputs: dict[str, Any], **members: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """A turn's outputs and its tokens put together, fields in the order of their first token."""
    tokens: dict[str, str] = {}
    program = loaded(models, **members)

    def on_token(field: str, delta: str) -> None:
        tokens[field] = tokens.get(field, "") + delta

    result = asyncio.run(program.arun(call(inputs, on_token=on_token)))
    return result.outputs, tokens


ANSWER = "Two lines:\n\n[[not a header]] and [1]\nthe end"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_predict_and_chain_of_thought_stream_every_field_in_order(size: int) -> None:
    """Also when the answer comes in one piece, as from a cache."""
    models = answering(reasoning="Because\nof it.", answer=ANSWER, n=42)
    models.engines["default"].size = size
    signature = "question -> answer: str, n: int"
    outputs, tokens = streamed(models, {"question": "q"}, signature=signature, module="chain_of_thought")
    assert outputs == {"reasoning": "Because\nof it.", "answer": ANSWER, "n": 42}
    assert list(tokens.items()) == [("reasoning", "Because\nof it."), ("answer", ANSWER), ("n", "42")]
    outputs, tokens = streamed(models, {"question": "q"}, signature="question -> answer")
    assert tokens == outputs == {"answer": ANSWER}


def test_an_asynchronous_module_of_the_users_streams() -> None:
    """What its predictors write."""
    outputs, tokens = streamed(answering(answer=ANSWER), {"question": "q"}, module=own("AsyncEcho"))
    assert tokens == outputs == {"answer": ANSWER}


def test_a_field_is_streamed_from_one_call_only() -> None:
    """The second and third concurrent call of the same predictor are not mixed in."""
    outputs, tokens = streamed(answering(answer=ANSWER), {"question": "q"}, module=own("AsksOften"))
    assert outputs == {"answer": ANSWER}
    assert tokens == {"answer": ANSWER}


def test_a_signature_limits_what_is_streamed() -> None:
    """The model's other fields stay inside."""
    models = answering(reasoning="secret thoughts", answer="a")
    outputs, tokens = streamed(models, {"question": "q"}, module=own("Thinks"), signature="question -> answer: str")
    assert tokens == outputs == {"answer": "a"}


def test_an_answer_in_another_format_arrives_whole() -> None:
    """The user's module chose the JSON adapter."""
    models = ScriptedModels(default=lambda request: '{"answer": "in JSON"}')
    outputs, tokens = streamed(models, {"question": "q"}, module=own("AsksInJson"))
    assert tokens == outputs == {"answer": "in JSON"}


def test_concurrent_turns_do_not_get_each_others_tokens() -> None:
    """Ten turns of one program at once."""
    models = ScriptedModels(default=lambda request: fields(answer=request.messages[-1].text.splitlines()[1]))
    program = loaded(models, signature="question -> answer")
    tokens: dict[str, str] = {}

    async def turn(question: str) -> None:
        def on_token(field: str, delta: str) -> None:
            tokens[question] = tokens.get(question, "") + delta

        await program.arun(call({"question": question}, on_token=on_token))

    async def turns() -> None:
        await asyncio.gather(*(turn(f"question {n}") for n in range(10)))

    asyncio.run(turns())
    assert tokens == {f"question {n}": f"question {n}" for n in range(10)}


def test_an_answer_that_does_not_fit_is_an_error_when_streamed_too() -> None:
    """What was sent so far is void."""
    with pytest.raises(OutputInvalid):
        streamed(answering(other="x"), {"question": "q"}, signature="question -> answer")


def test_a_synchronous_module_has_no_tokens() -> None:
    """It runs as without them."""
    tokens: list[str] = []
    program = loaded(answering(answer="a"), module=own("SyncEcho"))
    result = program.run(call({"question": "q"}, on_token=lambda field, delta: tokens.append(delta)))
    assert result.outputs["answer"] == "a"
    assert tokens == []
