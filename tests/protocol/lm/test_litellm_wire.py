"""A provider that DSPy reaches through litellm only."""

from __future__ import annotations

import sys

import pytest
from pydantic import SecretStr

from dspex_actors.errors import LMRateLimited
from dspex_actors.lm.errors import to_dspex
from dspex_actors.lm.models import Models
from tests.protocol.lm.callers import CALLERS, KEY, Caller, ask
from tests.protocol.lm.wire import fails, says, serving

FOUR = "[[ ## answer ## ]]\nit is four\n\n[[ ## completed ## ]]"
# litellm's own types make pydantic warn at their first use.
pytestmark = pytest.mark.filterwarnings("ignore:.*using the `ReadOnly` qualifier:UserWarning")
every_caller = pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.__name__)


def through_litellm(base: str) -> Models:
    """Models whose default needs litellm."""
    return Models("together_ai/some/model", base, SecretStr(KEY), timeout_s=10)


@every_caller
def test_the_call_arrives_with_key_and_model(caller: Caller) -> None:
    """Any DSPy model name works."""
    with serving(says(FOUR)) as wire:
        assert ask(through_litellm(wire.base).get(None), caller)[-1].answer == "it is four"
    assert wire.calls[0].path == "/v1/chat/completions"
    assert wire.calls[0].authorization == f"Bearer {KEY}"
    assert wire.calls[0].body["model"] == "some/model"
    assert "litellm" in sys.modules


@every_caller
def test_its_failures_become_ours(caller: Caller) -> None:
    """Without a word of the provider's."""
    with serving(fails(429)) as wire, pytest.raises(Exception) as raised:  # noqa: PT011
        ask(through_litellm(wire.base).get(None).copy(num_retries=0), caller)
    error = to_dspex(raised.value)
    assert isinstance(error, LMRateLimited), repr(error)
    assert KEY not in str(error.problem())
