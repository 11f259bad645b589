"""Programs that run with the mock, as the tests of this folder need them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dspy  # type: ignore[import-untyped]

from dspex_actors.lm.models import Models


@contextmanager
def mocked(name: str = "mock", adapter: Any = None) -> Iterator[Any]:
    """The mock of that name as DSPy's model; without an adapter, ChatAdapter that may not fall back to JSON."""
    model = Models(name, None, None).get(None)
    chosen = adapter or dspy.ChatAdapter(use_json_adapter_fallback=False)
    with dspy.context(lm=model, adapter=chosen, disable_history=True, trace=None):
        yield model


def outputs(**types: Any) -> Any:
    """A signature from a question to fields of these types."""
    fields = {name: (kind, dspy.OutputField()) for name, kind in types.items()}
    return dspy.Signature({"question": (str, dspy.InputField()), **fields}, "Answer the question.")
