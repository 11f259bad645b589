"""Two ordinary `dspy.Module`s, one asynchronous and one not. Nothing in them knows about sessions."""

from typing import Literal

import dspy


class Triage(dspy.Module):
    """Asynchronous: runs on the program loop, beside many others. A parameter `history` is shown the earlier turns."""

    def __init__(self) -> None:
        super().__init__()
        self.sort = dspy.Predict("ticket: str -> team: Literal['billing', 'technical']")
        self.answer = dspy.ChainOfThought("ticket: str, team: str, history: dspy.History -> answer: str")

    async def aforward(self, ticket: str, history: dspy.History) -> dspy.Prediction:
        team = (await self.sort.acall(ticket=ticket)).team
        answer = await self.answer.acall(ticket=ticket, team=team, history=history)
        return dspy.Prediction(team=team, answer=answer.answer, seen=len(history.messages))


class Summary(dspy.Module):
    """Synchronous: runs in the pool. `sentences` is a parameter of the program, `style` an input with a default."""

    def __init__(self, sentences: int = 1) -> None:
        super().__init__()
        self.sentences = sentences
        self.shorten = dspy.Predict("text: str, sentences: int, style: str -> summary: str")

    def forward(self, text: str, style: Literal["plain", "formal"] = "plain") -> dspy.Prediction:
        return self.shorten(text=text, sentences=self.sentences, style=style)
