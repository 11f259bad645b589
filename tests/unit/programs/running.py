"""Short ways to load a program and to call it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dspex_actors.programs.call import HistoryTurn, ProgramCall
from dspex_actors.programs.catalogue import Programs
from dspex_actors.programs.loaded import LoadedProgram, ModelSource
from dspex_actors.resources.program import Program, ProgramSpec

PACKAGE = "tests.unit.programs"


def own(name: str) -> str:
    """The module path of a class in `sample_modules`."""
    return f"python:{PACKAGE}.sample_modules:{name}"


def spec(**members: Any) -> ProgramSpec:
    """A specification with a name."""
    return ProgramSpec(name="p", **members)


def program(uid: str, **members: Any) -> Program:
    """A stored program."""
    return Program(uid=uid, tenant="default", version=1, spec=spec(**members), created_at_us=0)


def loaded(models: ModelSource, **members: Any) -> LoadedProgram:
    """A program, loaded on its own."""
    return Programs(models, (PACKAGE,)).load(program("u", **members))


def call(
    inputs: dict[str, Any],
    *,
    history: Sequence[HistoryTurn] = (),
    lm: str | None = None,
    turn_id: str = "t1",
    on_token: Callable[[str, str], None] | None = None,
    deadline_s: float | None = None,
) -> ProgramCall:
    """A call with the usual identities."""
    return ProgramCall(inputs, history, lm, turn_id, "s1", 1, on_token, deadline_s)
