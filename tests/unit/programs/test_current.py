"""Which turn is running here."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from dspex_actors.errors import InvalidRequest, ProgramFailed
from dspex_actors.programs.call import ProgramResult
from dspex_actors.programs.current import NoCurrentTurn, current_turn
from dspex_actors.programs.variables import TurnVariables
from dspex_actors.resources.variables import Variable
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


def counting(**inputs: Any) -> ProgramResult:
    """A turn of a program that counts in a variable, which was 3."""
    variables = TurnVariables({"count": Variable(type="int", range=(0, 9), default=0)}, {}, {"count": 3})
    return asyncio.run(loaded(answering(), module=own("Counts")).arun(replace(call(inputs), variables=variables)))


def test_a_program_reads_and_sets_the_sessions_variables() -> None:
    """What it set comes with its result."""
    result = counting()
    assert (result.outputs, result.variables) == ({"now": {"count": 4}}, {"count": 4})


@pytest.mark.parametrize(
    ("inputs", "kind"), [({"value": 99}, "InvalidRequest"), ({"name": "none", "value": 1}, "NotFound")]
)
def test_a_bad_value_is_the_programs_fault(inputs: dict[str, Any], kind: str) -> None:
    """It is told where it sets it; a caller hears that the program failed."""
    with pytest.raises(ProgramFailed, match=f"raised {kind}"):
        counting(**inputs)


def test_variables_are_no_way_into_the_sessions_state() -> None:
    """What was read, and what was set, is a copy; nothing is taken away."""
    given: dict[str, Any] = {"tags": ["a"]}
    variables = TurnVariables({"tags": Variable(type="list")}, {}, given)
    variables["tags"].append("b")
    mine = ["c"]
    variables["tags"] = mine
    mine.append("d")
    assert (given, variables.changed, variables["tags"]) == ({"tags": ["a"]}, {"tags": ["c"]}, ["c"])
    with pytest.raises(InvalidRequest, match="cannot be taken away"):
        del variables["tags"]
    with pytest.raises(InvalidRequest, match="65,536"):
        variables["tags"] = ["x" * 70_000]
