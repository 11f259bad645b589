"""A program's call as a provider sees it, and the provider's answer as the program sees it."""

from __future__ import annotations

import dspy  # type: ignore[import-untyped]
import pytest

from tests.protocol.lm.callers import CALLERS, KEY, QUESTION, Caller, ask, models, streaming, sync
from tests.protocol.lm.wire import fails, says, serving

FOUR = "[[ ## answer ## ]]\nit is four\n\n[[ ## completed ## ]]"
every_caller = pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.__name__)


@every_caller
def test_the_call_arrives_with_path_key_model_and_messages(caller: Caller) -> None:
    """What the provider needs, and where it expects it."""
    with serving(says(FOUR)) as wire:
        answer = ask(models(wire.base).get(None), caller)[-1].answer
    (call,) = wire.calls
    assert answer == "it is four"
    assert (call.path, call.authorization) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert call.body["model"] == "gpt-4o-mini"
    assert bool(call.body.get("stream")) is (caller is streaming)
    assert [message["role"] for message in call.body["messages"]] == ["system", "user"]
    assert QUESTION in str(call.body["messages"][-1]["content"])


def test_a_stream_hands_on_the_tokens_before_the_prediction() -> None:
    """Through DSPy's send_stream path."""
    with serving(says(FOUR)) as wire:
        *tokens, prediction = ask(models(wire.base).get(None), streaming)
    assert len(tokens) > 1
    assert "".join(token.chunk for token in tokens).strip() == prediction.answer == "it is four"


def test_the_providers_usage_reaches_the_prediction() -> None:
    """As the provider counted it."""
    with serving(says(FOUR)) as wire:
        usage = ask(models(wire.base).get(None), sync)[0].get_lm_usage()["openai/gpt-4o-mini"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (11, 7, 18)


def test_the_same_call_again_asks_the_provider_again() -> None:
    """Nothing is answered from a cache."""
    with serving(says(FOUR)) as wire:
        model = models(wire.base).get(None)
        ask(model, sync)
        ask(model, sync)
    assert len(wire.calls) == 2


@every_caller
def test_a_passing_failure_is_tried_again(caller: Caller) -> None:
    """One retry, after what the provider asks for."""
    with serving(fails(503, **{"Retry-After": "0"}), says(FOUR)) as wire:
        assert ask(models(wire.base).get(None), caller)[-1].answer == "it is four"
    assert len(wire.calls) == 2


@pytest.mark.parametrize("caller", CALLERS[:2], ids=["sync", "asynchronous"])
def test_an_answer_in_the_wrong_format_is_asked_for_again_as_json(caller: Caller) -> None:
    """ChatAdapter's own fallback; a stream has none, because its tokens were seen."""
    with serving(says("four"), says('{"answer": "it is four"}')) as wire:
        assert ask(models(wire.base).get(None), caller)[-1].answer == "it is four"
    assert [call.body.get("response_format", {}).get("type") for call in wire.calls] == [None, "json_schema"]


def test_one_model_serves_calls_from_several_loops() -> None:
    """Each loop has connections of its own."""
    with serving(says(FOUR)) as wire:
        model = models(wire.base).get(None)
        answers = [ask(model, CALLERS[1])[0].answer for _ in range(3)]
    assert answers == ["it is four"] * 3


def test_a_conversation_travels_as_messages() -> None:
    """Earlier turns are user and assistant messages."""
    history = dspy.History(messages=[{"question": "hello", "answer": "hi"}])
    with serving(says(FOUR)) as wire, dspy.context(lm=models(wire.base).get(None), disable_history=True, trace=None):
        dspy.Predict("question, history: dspy.History -> answer")(question="and now?", history=history)
    assert [message["role"] for message in wire.calls[0].body["messages"]] == ["system", "user", "assistant", "user"]
