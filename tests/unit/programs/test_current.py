"""Which turn is running here."""

from __future__ import annotations

import asyncio

import pytest

from dspex_actors.programs.current import NoCurrentTurn, current_turn
from tests.unit.programs.engines import answering
from tests.unit.programs.running import call, loaded, own


def test_outside_of_a_turn_there_is_none() -> None:
    """A lookup error that says where to call it."""
    with pytest.raises(NoCurrentTurn, match="from a program or tool"):
        current_turn()
    with pytest.raises(LookupError):
        current_turn()


def test_an_asynchronous_program_sees_its_turn_in_threads_as_well() -> None:
    """And it is gone afterwards."""
    outputs = asyncio.run(loaded(answering(), module=own("Asks")).arun(call({}, turn_id="key-1"))).outputs
    assert outputs == {"here": "key-1", "there": "key-1", "attempt": 1}
    with pytest.raises(NoCurrentTurn):
        current_turn()


def test_a_synchronous_program_sees_its_turn_in_the_pool() -> None:
    """The thread keeps nothing of it."""

    async def turn() -> dict[str, object]:
        program = loaded(answering(), module=own("SyncAsks"))
        result = await asyncio.get_running_loop().run_in_executor(None, program.run, call({}, turn_id="key-2"))
        return result.outputs

    assert asyncio.run(turn()) == {"turn": "key-2", "session": "s1"}
