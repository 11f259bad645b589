"""Specifications refuse what they do not accept, by name, with what they do."""

from __future__ import annotations

from typing import Any

import pytest

from supervisors import BadSpec, ChildSpec, SupervisorSpec
from tests.unit.supervisors.world import Worker, spec_of


@pytest.mark.parametrize(
    ("options", "name", "accepted"),
    [
        ({"restart": "transient"}, "restart='transient'", "'permanent', 'temporary'"),
        ({"shutdown": -1}, "shutdown=-1", "brutal_kill or infinity"),
        ({"shutdown": "soon"}, "shutdown='soon'", "brutal_kill or infinity"),
        ({"shutdown": True}, "shutdown=True", "brutal_kill or infinity"),
        ({"shutdown": float("nan")}, "shutdown=nan", "brutal_kill or infinity"),
        ({"start_timeout_s": 0}, "start_timeout_s=0", "infinity"),
        ({"kind": ""}, "kind=''", "at least one character"),
        ({"name": ""}, "name=''", "at least one character"),
        ({"options": {"max_restarts": 3}}, "max_restarts", "leave it out"),
        ({"options": {"lifetime": "detached"}}, "lifetime", "leave it out"),
    ],
)
def test_a_child_option_that_is_not_accepted_is_refused_by_name(
    options: dict[str, Any], name: str, accepted: str
) -> None:
    """The sentence names the option, its value and what is accepted."""
    with pytest.raises(BadSpec) as refusal:
        ChildSpec("a", start=Worker, **options)
    assert name in str(refusal.value)
    assert accepted in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"strategy": "one_for_all"}, "strategy='one_for_all' is not known; accepted: 'one_for_one'"),
        ({"max_restarts": -1}, "max_restarts=-1"),
        ({"max_restarts": 1.5}, "max_restarts=1.5"),
        ({"max_restarts": True}, "max_restarts=True"),
        ({"max_seconds": 0}, "max_seconds=0"),
        ({"max_seconds": float("inf")}, "max_seconds=inf"),
        ({"children": (Worker,)}, "children takes ChildSpec values"),
        ({"children": (spec_of("a"), spec_of("a"))}, "Two children have the id 'a'"),
    ],
)
def test_a_supervisor_option_that_is_not_accepted_is_refused_by_name(options: dict[str, Any], name: str) -> None:
    """The same for supervisors."""
    with pytest.raises(BadSpec) as refusal:
        SupervisorSpec(**options)
    assert name in str(refusal.value)


@pytest.mark.parametrize("bad", ["Worker", None, 3])
def test_a_start_that_is_no_class_is_refused(bad: Any) -> None:
    """Only a class, a Ray actor class or a SupervisorSpec starts a child."""
    with pytest.raises(BadSpec, match="give a class"):
        ChildSpec("a", start=bad)


@pytest.mark.parametrize("id_", ["", 3, None])
def test_an_id_is_a_text(id_: Any) -> None:
    """An empty or other id is refused."""
    with pytest.raises(BadSpec, match="id="):
        ChildSpec(id_, start=Worker)


def test_a_nested_supervisor_takes_no_arguments() -> None:
    """Its SupervisorSpec says everything."""
    with pytest.raises(BadSpec, match="takes no args"):
        ChildSpec("sup", start=SupervisorSpec(), args=(1,))


def test_a_worker_has_five_seconds_to_stop_and_a_minute_to_start() -> None:
    """OTP's default for workers."""
    worker = spec_of("a")
    assert (worker.type, worker.shutdown_or_default, worker.start_timeout_or_none) == ("worker", 5.0, 60.0)


def test_a_supervisor_has_for_ever() -> None:
    """OTP's default for supervisors."""
    nested = ChildSpec("sup", start=SupervisorSpec())
    assert (nested.type, nested.shutdown_or_default, nested.start_timeout_or_none) == ("supervisor", "infinity", None)


def test_otps_defaults_of_a_supervisor() -> None:
    """One restart per five seconds."""
    assert (SupervisorSpec().strategy, SupervisorSpec().max_restarts, SupervisorSpec().max_seconds) == (
        "one_for_one",
        1,
        5.0,
    )
