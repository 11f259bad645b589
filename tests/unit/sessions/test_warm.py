"""What a standby does before it is needed."""

from __future__ import annotations

import pytest

from dspex_actors.lm.models import Models
from dspex_actors.programs.catalogue import Programs
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.sessions.warm import prepare, warm_up
from dspex_actors.store.opening import open_store


def test_warming_up_runs_turns_to_their_ends() -> None:
    """On the mock, in memory: nothing of it is anywhere afterwards."""
    programs = Programs(Models("mock", None, None))
    warm_up(programs)
    assert len(programs._loaded) == 1


def test_the_programs_of_the_store_are_built_and_a_broken_one_is_no_obstacle(caplog: pytest.LogCaptureFixture) -> None:
    """It was made when its package was still allowed."""
    store = open_store("sqlite://")
    good = store.create_program("default", ProgramSpec(name="good", signature="q -> a")).value
    store.create_program("default", ProgramSpec(name="bad", module="python:gone.away:Module"))
    programs = Programs(Models("mock", None, None))
    prepare(programs, store)
    assert programs.known(good.uid) is not None
    assert "bad" in caplog.text
    store.close()
