"""Failures of models as typed errors."""

from __future__ import annotations

from typing import Any

import dspy  # type: ignore[import-untyped]
import pytest
from dspy.utils import exceptions as lm  # type: ignore[import-untyped]

from dspex_actors.errors import DspexError, LMFailed, LMRateLimited, LMTimeout, OutputInvalid
from dspex_actors.lm.errors import to_dspex

SECRET = "sk-secret in the provider's own words"
MODEL = "openai/gpt-4o-mini"


def every_lm_error() -> list[type[Exception]]:
    """All of DSPy's, also those that a later version adds."""
    found: list[type[Exception]] = [lm.LMError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return found


@pytest.mark.parametrize("kind", every_lm_error(), ids=lambda kind: kind.__name__)
def test_every_lm_error_becomes_one_of_ours_that_names_the_model_only(kind: Any) -> None:
    """The provider's text stays where it is."""
    error = to_dspex(kind(message=SECRET, model=MODEL))
    assert isinstance(error, LMFailed | LMTimeout | LMRateLimited)
    assert MODEL in error.detail
    assert SECRET not in str(error.problem())


@pytest.mark.parametrize(
    ("kind", "expected", "words"),
    [
        (lm.LMTimeoutError, LMTimeout, "in time"),
        (lm.LMRateLimitError, LMRateLimited, "rate limited"),
        (lm.LMAuthError, LMFailed, "credentials"),
        (lm.LMTransportError, LMFailed, "could not be reached"),
        (lm.LMServerError, LMFailed, "provider's side"),
        (lm.LMUnsupportedModelError, LMFailed, "not known"),
        (lm.ContextWindowExceededError, LMFailed, "context window"),
        (lm.LMStreamAssemblyError, LMFailed, "broke off"),
        (lm.LMNotConfiguredError, LMFailed, "not configured"),
    ],
)
def test_the_sentence_says_which_failure_it_was(kind: Any, expected: type[DspexError], words: str) -> None:
    """And so what to do next."""
    error = to_dspex(kind(message=SECRET, model=MODEL))
    assert type(error) is expected
    assert words in error.detail


def test_the_transports_own_timeout_is_a_timeout() -> None:
    """DSPy files it under transport failures."""
    assert isinstance(to_dspex(lm.LMTransportError("read timed out waiting for headers", model=MODEL)), LMTimeout)


def test_a_rate_limit_says_how_long_to_wait() -> None:
    """The provider's hint goes on to the caller."""
    error = to_dspex(lm.LMRateLimitError(SECRET, model=MODEL, retry_after=7.5))
    assert error is not None
    assert error.retry_after_s == 7.5
    assert "7.5 s" in error.detail


def test_an_answer_that_does_not_parse_is_output_invalid_without_the_answer() -> None:
    """The answer may repeat the prompt."""
    error = to_dspex(lm.AdapterParseError("ChatAdapter", dspy.Signature("q -> total: int, why"), SECRET))
    assert isinstance(error, OutputInvalid)
    assert "`total`, `why`" in error.detail
    assert SECRET not in error.detail


def test_a_group_of_one_stands_for_its_exception() -> None:
    """Streaming raises groups."""
    group = ExceptionGroup("tasks", [ExceptionGroup("inner", [lm.LMTimeoutError(SECRET, model=MODEL)])])
    assert isinstance(to_dspex(group), LMTimeout)


@pytest.mark.parametrize(
    "other", [KeyError("x"), TimeoutError(), KeyboardInterrupt(), ExceptionGroup("two", [OSError(), OSError()])]
)
def test_what_is_no_models_failure_is_left_alone(other: BaseException) -> None:
    """The user's own module may raise anything."""
    assert to_dspex(other) is None


def test_a_models_name_with_credentials_in_it_is_masked() -> None:
    """Users write addresses where names belong."""
    error = to_dspex(lm.LMServerError("x", model="http://me:pw@host/model\n"))
    assert error is not None
    assert "http://***@host/model?" in error.detail
