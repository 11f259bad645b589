"""What a user's module takes."""

from __future__ import annotations

import pytest

from dspex_actors.errors import InvalidRequest
from dspex_actors.programs.forward import forward_of
from tests.unit.programs import sample_modules
from tests.unit.programs.engines import answering
from tests.unit.programs.running import loaded, own


def test_parameters_become_fields_and_history_is_the_sessions() -> None:
    """Names, types, and which ones must be there."""
    forward = forward_of(sample_modules.Remembers)
    assert [(f.name, f.annotation, f.required) for f in forward.fields] == [
        ("question", str, True),
        ("tags", list[str], True),
    ]
    assert forward.takes_history
    assert [f.required for f in forward_of(sample_modules.SyncEcho).fields] == [True, False]


def test_inputs_are_checked_by_the_parameters() -> None:
    """Missing, unknown and wrongly typed ones at once."""
    program = loaded(answering(answer="a"), module=own("SyncEcho"))
    program.validate({"question": "q"})
    with pytest.raises(InvalidRequest) as caught:
        program.validate({"times": "2", "extra": 1})
    assert [(p["loc"], p["type"]) for p in caught.value.errors] == [
        (["inputs", "question"], "missing"),
        (["inputs", "extra"], "extra"),
        (["inputs", "times"], "int_type"),
    ]


@pytest.mark.parametrize(("name", "sentence"), [("Empty", "neither forward nor aforward"), ("WrongKind", "aforward")])
def test_an_entry_point_of_the_wrong_kind_is_refused(name: str, sentence: str) -> None:
    """When the program is created."""
    with pytest.raises(InvalidRequest, match=sentence):
        forward_of(getattr(sample_modules, name))
