"""The programs of a process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from dspex_actors.errors import InvalidRequest, UnknownType
from dspex_actors.lm.models import Models
from dspex_actors.programs import catalogue
from dspex_actors.programs.catalogue import Programs
from tests.unit.programs.engines import answering
from tests.unit.programs.running import PACKAGE, own, program, spec


def test_a_program_is_built_once_whoever_asks() -> None:
    """Eight threads at once get the same object."""
    programs = Programs(answering(answer="a"), (PACKAGE,))
    stored = program("u1", module=own("SyncEcho"))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(programs.load, [stored] * 32))
    assert len({id(each) for each in found}) == 1


def test_another_uid_is_another_program() -> None:
    """Deleting and creating again gives a fresh module."""
    programs = Programs(answering(answer="a"), (PACKAGE,))
    assert programs.load(program("u1", signature="q -> a")) is not programs.load(program("u2", signature="q -> a"))


def test_the_oldest_is_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """And built again when it is asked for."""
    monkeypatch.setattr(catalogue, "MAX_LOADED", 2)
    programs = Programs(answering(answer="a"))
    first, second, third = (program(uid, signature="q -> a") for uid in ("u1", "u2", "u3"))
    kept = programs.load(first), programs.load(second), programs.load(third)
    assert programs.load(second) is kept[1]
    assert programs.load(third) is kept[2]
    assert programs.load(first) is not kept[0]


def test_a_specification_is_checked_by_building_it() -> None:
    """Types, packages and model names."""
    programs = Programs(Models("mock", None, None))
    programs.check(spec(signature="q -> a", lm="mock"))
    with pytest.raises(UnknownType):
        programs.check(spec(signature="q: Foo -> a"))
    with pytest.raises(InvalidRequest, match="DSPEX_PROGRAM_PACKAGES"):
        programs.check(spec(module=own("SyncEcho")))
    with pytest.raises(InvalidRequest, match="is not a model name"):
        programs.check(spec(signature="q -> a", lm="no such model"))
