"""The program that every peer runs."""

from __future__ import annotations

import dspy  # type: ignore[import-untyped]

from dspex_actors.lm.models import Models

SIGNATURE = "question: str -> answer: str"


def predictor() -> dspy.Predict:
    """A `dspy.Predict` with the mock engine, without the histories that grow for as long as a process lives."""
    dspy.configure(disable_history=True, trace=None)
    predict = dspy.Predict(SIGNATURE)
    predict.set_lm(Models("mock", None, None).get(None))
    return predict
