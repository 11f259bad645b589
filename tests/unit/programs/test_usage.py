"""Usage of a turn."""

from __future__ import annotations

import asyncio

from dspex_actors.programs.usage import TurnUsage
from tests.unit.programs.engines import answering
from tests.unit.programs.running import call, loaded, own


def test_usage_is_summed_over_the_calls_of_the_turn() -> None:
    """Three calls of five tokens."""
    program = loaded(answering(answer="a"), module=own("SyncEcho"))
    usage = program.run(call({"question": "q", "times": 3})).usage
    assert usage == {"calls": 3, "prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15}


def test_concurrent_turns_do_not_count_for_each_other() -> None:
    """Each has a tracker of its own."""
    program = loaded(answering(answer="a"), signature="question -> answer")

    async def turns() -> list[int]:
        results = await asyncio.gather(*(program.arun(call({"question": "q"})) for _ in range(20)))
        return [result.usage["calls"] for result in results]

    assert asyncio.run(turns()) == [1] * 20


def test_calls_without_reported_tokens_count_as_calls() -> None:
    """And a total that is not reported is the sum of its parts."""
    usage = TurnUsage()
    usage.add_usage("a", {})
    usage.add_usage("b", {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": None})
    assert usage.total() == {"calls": 2, "prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
