"""Errors travel between processes, have codes, and say what to do next."""

from __future__ import annotations

import pickle

import pytest

from supervisors import errors as e
from supervisors.exits import Exit
from tests.unit.supervisors.world import child_of

ALL = [
    e.BadSpec("restart='x' is not known; accepted: 'permanent'."),
    e.AlreadyStarted("a", child_of("a", 1)),
    e.AlreadyPresent("a"),
    e.Running("a"),
    e.Restarting("a"),
    e.ChildNotFound("a"),
    e.MaxChildren(3),
    e.NotForDynamic("dynamic"),
    e.StartError("a", Exit("init_failed", "ValueError: boom")),
    e.FailedToStartChild("a", Exit("init_failed", "ValueError: boom")),
    e.SupervisorStopping(),
    e.SupervisorDown("root", "ActorDiedError"),
    e.CallTimeout("root", 2.0),
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.code)
def test_an_error_is_the_same_after_a_journey(error: e.SupervisorError) -> None:
    """Pickled and back: equal, with the same sentence."""
    again = pickle.loads(pickle.dumps(error))
    assert again == error
    assert str(again) == str(error)


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.code)
def test_an_error_is_a_sentence(error: e.SupervisorError) -> None:
    """It has text and ends."""
    assert str(error).endswith(".")


def test_every_error_has_a_code_of_its_own() -> None:
    """Codes are stable names."""
    codes = [error.code for error in ALL]
    assert len(set(codes)) == len(codes)


def test_errors_of_different_children_differ() -> None:
    """Equality is type and fields."""
    assert e.Running("a") != e.Running("b")
    assert e.Running("a") != e.Restarting("a")
    assert hash(e.Running("a")) == hash(e.Running("a"))
