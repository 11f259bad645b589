"""An asynchronous program: sees the conversation, streams its answer, uses a tool once a turn."""

from __future__ import annotations

import asyncio

import dspy

from dspex_actors import current_turn
from support_desk.tickets import file_ticket


class Desk(dspy.Module):
    """Answers a question, and files a ticket when it is urgent."""

    def __init__(self, always_file: bool = False) -> None:
        super().__init__()
        self.triage = dspy.Predict("question: str -> urgent: bool")
        self.reply = dspy.Predict("question: str, history: dspy.History -> answer: str")
        self.always_file = always_file

    async def aforward(self, question: str, history: dspy.History) -> dspy.Prediction:
        urgent = (await self.triage.acall(question=question)).urgent
        reply = await self.reply.acall(question=question, history=history)
        ticket = None
        if urgent or self.always_file:
            ticket = await asyncio.to_thread(file_ticket, question, current_turn().id)
        return dspy.Prediction(answer=reply.answer, urgent=urgent, ticket=ticket)
