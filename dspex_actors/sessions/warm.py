"""Warming up: one prediction on the mock, so that a standby's first real turn pays for no import."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dspex_actors.programs.call import HistoryTurn, ProgramCall
from dspex_actors.resources.program import Program, ProgramSpec

if TYPE_CHECKING:
    from dspex_actors.programs.catalogue import Programs

_SPEC = ProgramSpec(name="warm-up", signature="question: str, history: dspy.History -> answer: str", lm="mock")


def warm_up(programs: Programs) -> None:
    """Run a plain and a streamed turn to their ends. Blocks for as long as DSPy takes to load what it needs."""
    loaded = programs.load(Program("warm-up", "", 0, _SPEC, 0))
    asyncio.run(loaded.arun(_call(streams=False)))
    asyncio.run(loaded.arun(_call(streams=True)))


def _call(*, streams: bool) -> ProgramCall:
    past = (HistoryTurn({"question": "before"}, {"answer": "before"}),)
    on_token = (lambda _field, _delta: None) if streams else None
    return ProgramCall(
        inputs={"question": "now"}, history=past, lm="mock", turn_id="warm-up", session_id="warm-up", attempt=1,
        on_token=on_token, deadline_s=None,
    )  # fmt: skip
