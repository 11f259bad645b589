"""What a caller is told when a model fails: our own sentences, never the provider's text."""

from __future__ import annotations

from dspy.utils.exceptions import (  # type: ignore[import-untyped]
    AdapterParseError,
    ContextWindowExceededError,
    LMAuthError,
    LMBillingError,
    LMConfigurationError,
    LMError,
    LMInvalidRequestError,
    LMProviderError,
    LMRateLimitError,
    LMServerError,
    LMStreamAssemblyError,
    LMTimeoutError,
    LMTransportError,
    LMUnsupportedFeatureError,
    LMUnsupportedModelError,
)

from dspex_actors.errors import DspexError, LMFailed, LMRateLimited, LMTimeout, OutputInvalid
from dspex_actors.lm.model_name import safe_name

# The first class that fits counts, so the special ones come before what they derive from.
_FAILURES: tuple[tuple[type[BaseException], str], ...] = (
    (ContextWindowExceededError, "was given more than fits its context window. Shorten the input or the history."),
    (LMAuthError, "refused our credentials. Check the key of the model's API (DSPEX_LM_API_KEY)."),
    (LMBillingError, "refused the call for billing or quota. Check the account at the provider."),
    (LMUnsupportedModelError, "is not known to its provider. Check the model's name and the API address."),
    (LMInvalidRequestError, "refused the request. Check the model's name, the API address and the parameters."),
    (LMServerError, "failed on its provider's side. Try again."),
    (LMTransportError, "could not be reached, or the connection broke. Check the API address, then try again."),
    (LMStreamAssemblyError, "broke off its answer. Try again."),
    (LMUnsupportedFeatureError, "cannot do what the program asks of it. Use another model or other parameters."),
    (LMConfigurationError, "is not configured. Check its name, its API address and its key."),
    (LMProviderError, "gave an answer that is not one of its API. Check the API address, then try again."),
    (LMError, "failed in an unexpected way. Try again, or use another model."),
)


def to_dspex(exc: BaseException) -> DspexError | None:
    """The error for callers, where the exception is a failure of a model; None for everything else.

    A group that holds one exception, as a streaming task group raises it, stands for that exception. The sentences name
    the model and the kind of failure and hold nothing of the provider's text, the prompt, the answer or the key.

    Example:
        >>> to_dspex(LMTimeoutError("slow", model="openai/gpt-4o-mini"))
        LMTimeout('The model openai/gpt-4o-mini did not answer in time. Try again, or give it more time.')
        >>> to_dspex(KeyError("x")) is None
        True
    """
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    if isinstance(exc, AdapterParseError):
        return _unparsed(exc)
    if not isinstance(exc, LMError):
        return None
    model = f"The model {safe_name(str(exc.model))}" if exc.model else "The model"
    if isinstance(exc, LMRateLimitError):
        wait = "Wait and try again." if exc.retry_after is None else f"Try again in {exc.retry_after:g} s."
        return LMRateLimited(f"{model} is rate limited by its provider. {wait}", retry_after_s=exc.retry_after)
    if isinstance(exc, LMTimeoutError) or _timed_out(exc):
        return LMTimeout(f"{model} did not answer in time. Try again, or give it more time.")
    return LMFailed(f"{model} {next(text for kind, text in _FAILURES if isinstance(exc, kind))}")


def _unparsed(exc: AdapterParseError) -> OutputInvalid:
    wanted = ", ".join(f"`{name}`" for name in exc.signature.output_fields)
    return OutputInvalid(
        f"The model's answer does not fit the signature's outputs {wanted}. Try again, or say more about them in the "
        "program's instructions."
    )


def _timed_out(exc: LMError) -> bool:
    # The transport's own timeouts arrive as transport failures; streaming drops their cause, so only the text tells.
    return isinstance(exc, LMTransportError) and "timed out" in exc.message.lower()
