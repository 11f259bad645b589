"""A synchronous program: blocking code is welcome here, it runs in a thread of its own."""

from __future__ import annotations

import dspy

PAGES = (
    "Invoices are sent on the first day of a month.",
    "A password is reset under Settings, Security.",
    "Support answers on working days, 9 to 17.",
)


class Search(dspy.Module):
    """Answers from a few pages."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.ChainOfThought("question: str, passages: list[str] -> answer: str")

    def forward(self, question: str, limit: int = 2) -> dspy.Prediction:
        words = set(question.lower().split())
        passages = sorted(PAGES, key=lambda page: -len(words & set(page.lower().split())))[:limit]
        return dspy.Prediction(answer=self.answer(question=question, passages=passages).answer, passages=passages)
