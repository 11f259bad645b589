"""Clients that write down what they are told, and a program whose answers show what it saw, for the chaos checker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

import dspex_actors.programs.shortcut  # noqa: F401 - seconds of imports, which no turn here waits for
from benchmarks.chaos_check import Verdict, check, read_journal
from benchmarks.chaos_log import SHOWN, Answer, Operation, Outcome, digest_of
from dspex_actors.errors import DspexError
from dspex_actors.programs.call import ProgramCall, ProgramResult
from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.router import Router
from tests.unit.sessions.hosting import Scripted, request


class Ledger(Scripted):
    """What the chaos benchmark's program does: it appends its key, and answers with what it saw."""

    def _end(self, call: ProgramCall) -> ProgramResult:
        past: dict[str, Any] = call.history[-1].outputs if call.history else {"number": 0, "digest": ""}
        outputs = {
            "number": past["number"] + 1,
            "digest": digest_of(past["digest"], call.turn_id),
            "after": [each.inputs["q"] for each in call.history][-SHOWN:],
            "process": id(self),
        }
        return ProgramResult(outputs, {"calls": 0}, "none")


@dataclass
class Clients:
    """All that talk in one session, and their log."""

    record: SessionRecord
    log: list[Operation] = field(default_factory=list)

    async def ask(self, router: Router, key: str, **turn: Any) -> None:
        """One turn; what the client knows of it is in the log afterwards, whatever became of it."""
        now = asyncio.get_running_loop().time
        sent, answer, errors = now(), None, tuple[str, ...]()
        try:
            told = await router.predict(self.record, request(key, **turn))
            outcome, answer = Outcome.DONE, _answer(orjson.loads(told.body))
        except DspexError as error:
            outcome = Outcome.UNKNOWN if error.code == "outcome_unknown" else Outcome.NOT_DONE
            errors = (error.code,)
        self.log.append(Operation(1, self.record.id, key, sent, sent, now(), outcome, answer, errors=errors))

    def verdict(self, store: Path) -> Verdict:
        """What the checker says of the log and of the store's file."""
        return check(self.log, read_journal(f"sqlite:///{store}"))


def _answer(told: dict[str, Any]) -> Answer:
    said = told["outputs"]
    return Answer(told["turn"], said["number"], said["digest"], tuple(said["after"]), said["process"])
