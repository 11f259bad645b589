"""Specifications refuse what they do not accept, by name, with what they do."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from supervisors import Backoff, BadSpec, ChildSpec, Exit, SupervisorSpec
from supervisors.spec import AUTO_SHUTDOWNS, RESTARTS, STRATEGIES, AutoShutdown, RestartType
from supervisors.spec import TYPES as CHILD_TYPES
from tests.unit.supervisors.world import Worker, spec_of

TYPES = "'permanent', 'transient', 'temporary'"
NUMBER = "give a number of seconds from 0 or brutal_kill or infinity."
WHOLE = "give a whole number from 0."
FLAG = "give True or False."
LIST = "give a tuple or a list."
MAPPING = "give a mapping whose keys are texts."
TEXT = "give a text of at least one character."

BAD_CHILDREN: list[tuple[dict[str, Any], str, str]] = [
    ({"restart": "always"}, "restart='always'", f"accepted: {TYPES}."),
    ({"restart": None}, "restart=None", TYPES),
    ({"shutdown": -1}, "shutdown=-1", NUMBER),
    ({"shutdown": "soon"}, "shutdown='soon'", NUMBER),
    ({"shutdown": True}, "shutdown=True", NUMBER),
    ({"shutdown": float("nan")}, "shutdown=nan", NUMBER),
    ({"shutdown": float("inf")}, "shutdown=inf", NUMBER),
    ({"start_timeout_s": 0}, "start_timeout_s=0", "infinity"),
    ({"start_timeout_s": "never"}, "start_timeout_s='never'", "infinity"),
    ({"type": "actor"}, "type='actor'", "'worker', 'supervisor'"),
    ({"kind": ""}, "kind=''", TEXT),
    ({"name": ""}, "name=''", TEXT),
    ({"name": 3}, "name=3", TEXT),
    ({"significant": 1}, "significant=1", FLAG),
    ({"pass_name": "yes"}, "pass_name='yes'", FLAG),
    ({"anti_affinity": None}, "anti_affinity=None", FLAG),
    ({"spares": -1}, "spares=-1", WHOLE),
    ({"spares": 1.5}, "spares=1.5", WHOLE),
    ({"spares": True}, "spares=True", WHOLE),
    ({"backoff": 1.5}, "backoff=1.5", "give a Backoff, or None."),
    ({"heartbeat": 0.25}, "heartbeat=0.25", "give a Heartbeat, or None."),
    ({"args": "abc"}, "args='abc'", LIST),
    ({"args": 3}, "args=3", LIST),
    ({"kwargs": [1]}, "kwargs=[1]", MAPPING),
    ({"kwargs": {1: 2}}, "kwargs={1: 2}", MAPPING),
    ({"options": "num_cpus=1"}, "options='num_cpus=1'", MAPPING),
    ({"node_labels": ["gpu"]}, "node_labels=['gpu']", MAPPING),
    ({"options": {"max_restarts": 3}}, "options['max_restarts']", "leave it out."),
    ({"options": {"lifetime": "detached"}}, "options['lifetime']", "leave it out."),
    ({"significant": True}, "Child 'a' is significant and permanent", "accepted: 'transient', 'temporary'."),
    ({"restart": "temporary", "spares": 1}, "does not go with spares", "accepted: 'permanent', 'transient'."),
    ({"restart": "temporary", "backoff": Backoff(1.0)}, "does not go with backoff", "accepted: 'permanent', 'trans"),
]
BAD_SUPERVISORS: list[tuple[dict[str, Any], str, str]] = [
    ({"strategy": "one"}, "strategy='one' is not known", f"accepted: {', '.join(map(repr, STRATEGIES))}."),
    ({"auto_shutdown": "always"}, "auto_shutdown='always'", "'never', 'any_significant', 'all_significant'"),
    ({"max_restarts": -1}, "max_restarts=-1", WHOLE),
    ({"max_restarts": 1.5}, "max_restarts=1.5", WHOLE),
    ({"max_restarts": True}, "max_restarts=True", WHOLE),
    ({"max_seconds": 0}, "max_seconds=0", "give a number of seconds above 0."),
    ({"max_seconds": -5}, "max_seconds=-5", "give a number of seconds above 0."),
    ({"max_seconds": float("inf")}, "max_seconds=inf", "give a number of seconds above 0."),
    ({"max_seconds": "5"}, "max_seconds='5'", "give a number of seconds above 0."),
    ({"strategy": "dynamic", "max_children": -1}, "max_children=-1", WHOLE),
    ({"strategy": "dynamic", "max_children": "many"}, "max_children='many'", WHOLE),
    ({"counts": True}, "counts=True", "give a function of an Exit, or None."),
    ({"node_beat": 1.5}, "node_beat=1.5", "give a NodeBeat, or None."),
    ({"children": Worker}, "children=", LIST),
    ({"children": (Worker,)}, "children takes ChildSpec values", "not type."),
    ({"children": (spec_of("a"), spec_of("a"))}, "Two children have the id 'a'", "give each one of its own."),
    ({"max_children": 3}, "max_children does not go with strategy='one_for_one'", "'simple_one_for_one' and 'dynamic'"),
    ({"strategy": "dynamic", "children": (spec_of("a"),)}, "strategy='dynamic' takes no children", "with start_child."),
    ({"strategy": "simple_one_for_one"}, "takes exactly one child specification", "its template."),
    (
        {"strategy": "dynamic", "auto_shutdown": "any_significant"},
        "auto_shutdown='any_significant' does not go with strategy='dynamic'",
        "use 'never'.",
    ),
    (
        {"children": (spec_of("a", restart="transient", significant=True),)},
        "Child 'a' is significant, which does not go with auto_shutdown='never'",
        "accepted: 'any_significant', 'all_significant'.",
    ),
]


def refusal(made: type[Any], /, *args: Any, **options: Any) -> str:
    """The sentence."""
    with pytest.raises(BadSpec) as refused:
        made(*args, **options)
    return str(refused.value)


@pytest.mark.parametrize(("options", "named", "accepted"), BAD_CHILDREN)
def test_a_child_option_that_is_not_accepted_is_refused_by_name(
    options: dict[str, Any], named: str, accepted: str
) -> None:
    """The sentence names the option, its value and what is accepted."""
    sentence = refusal(ChildSpec, "a", start=Worker, **options)
    assert named in sentence
    assert accepted in sentence


@pytest.mark.parametrize(("options", "named", "accepted"), BAD_SUPERVISORS)
def test_a_supervisor_option_that_is_not_accepted_is_refused_by_name(
    options: dict[str, Any], named: str, accepted: str
) -> None:
    """The same for supervisors, and for options that do not go together."""
    sentence = refusal(SupervisorSpec, **options)
    assert named in sentence
    assert accepted in sentence


def test_two_templates_are_refused() -> None:
    """One template."""
    sentence = refusal(SupervisorSpec, strategy="simple_one_for_one", children=(spec_of("a"), spec_of("b")))
    assert "takes exactly one child specification" in sentence


@pytest.mark.parametrize("bad", ["Worker", None, 3])
def test_a_start_that_is_no_class_is_refused(bad: Any) -> None:
    """Only a class, a Ray actor class or a SupervisorSpec starts a child."""
    assert "give a class, a Ray actor class or a SupervisorSpec." in refusal(ChildSpec, "a", start=bad)


@pytest.mark.parametrize("id_", ["", 3, None])
def test_an_id_is_a_text(id_: Any) -> None:
    """An empty or other id is refused."""
    assert refusal(ChildSpec, id_, start=Worker) == f"id={id_!r} is not accepted; {TEXT}"


@pytest.mark.parametrize("options", [{"args": (1,)}, {"kwargs": {"x": 1}}, {"pass_name": True}])
def test_a_nested_supervisor_takes_no_arguments(options: dict[str, Any]) -> None:
    """Its SupervisorSpec says everything."""
    sentence = refusal(ChildSpec, "sup", start=SupervisorSpec(), **options)
    assert "takes no args, kwargs or pass_name." in sentence


def test_a_nested_supervisor_is_no_worker() -> None:
    """A class, however, may say that it is a supervisor."""
    assert "accepted: 'supervisor'." in refusal(ChildSpec, "sup", start=SupervisorSpec(), type="worker")
    assert ChildSpec("sup", start=Worker, type="supervisor").is_supervisor


def test_a_nested_supervisor_has_no_spares() -> None:
    """A second one of its path would take its children over."""
    assert "which does not go with spares" in refusal(ChildSpec, "sup", start=SupervisorSpec(), spares=1)


def test_a_worker_has_five_seconds_to_stop_and_a_minute_to_start() -> None:
    """OTP's default for workers."""
    worker = spec_of("a")
    assert (worker.is_supervisor, worker.shutdown_or_default, worker.start_timeout_or_none) == (False, 5.0, 60.0)


def test_a_supervisor_has_for_ever() -> None:
    """OTP's default for supervisors."""
    nested = ChildSpec("sup", start=SupervisorSpec())
    assert (nested.is_supervisor, nested.shutdown_or_default, nested.start_timeout_or_none) == (True, "infinity", None)


@pytest.mark.parametrize("shutdown", ["brutal_kill", 0, 2.5, "infinity"])
def test_a_shutdown_that_is_given_holds_for_workers_and_for_supervisors(shutdown: Any) -> None:
    """OTP allows each value for both."""
    for child in (spec_of("a", shutdown=shutdown), ChildSpec("s", start=SupervisorSpec(), shutdown=shutdown)):
        assert child.shutdown_or_default == shutdown


def test_otps_defaults_of_a_child() -> None:
    """Permanent, not significant, its class's module."""
    child = spec_of("a")
    assert (child.restart, child.significant, child.modules) == (
        "permanent",
        False,
        ("tests.unit.supervisors.world",),
    )
    assert (child.backoff, child.spares) == (None, 0)


@pytest.mark.parametrize(
    ("spec", "intensity"),
    [
        (SupervisorSpec(), 1),
        (SupervisorSpec(strategy="rest_for_one"), 1),
        (SupervisorSpec(strategy="dynamic"), 3),
        (SupervisorSpec(strategy="simple_one_for_one", children=(spec_of("t"),)), 3),
        (SupervisorSpec(strategy="dynamic", max_restarts=0), 0),
    ],
)
def test_the_default_intensity_is_one_or_three_where_children_are_started_on_demand(
    spec: SupervisorSpec, intensity: int
) -> None:
    """Within five seconds; one_for_one and never are the other defaults."""
    assert (spec.intensity, spec.max_seconds, spec.auto_shutdown) == (intensity, 5.0, "never")
    assert SupervisorSpec().strategy == "one_for_one"


@pytest.mark.parametrize("auto_shutdown", AUTO_SHUTDOWNS)
@pytest.mark.parametrize("restart", RESTARTS)
@pytest.mark.parametrize("significant", [True, False])
def test_accepted_values_go_together_but_for_significance(
    auto_shutdown: AutoShutdown, restart: RestartType, significant: bool
) -> None:
    """With every shutdown and type; a significant child needs an end of its own, and a supervisor that heeds it."""
    good = not significant or (restart != "permanent" and auto_shutdown != "never")
    for shutdown in (None, 0, 1.5, "infinity", "brutal_kill"):
        for type_ in (None, *CHILD_TYPES):
            options: dict[str, Any] = {"restart": restart, "shutdown": shutdown, "type": type_}
            with contextlib.nullcontext() if good else pytest.raises(BadSpec, match="significant"):
                child = spec_of("a", significant=significant, **options)
                SupervisorSpec(children=(child,), auto_shutdown=auto_shutdown)


@pytest.mark.parametrize("made", [ChildSpec, SupervisorSpec])
def test_an_option_that_does_not_exist_is_an_error(made: type[Any]) -> None:
    """Here we are stricter than OTP, which ignores it."""
    with pytest.raises(TypeError, match="silly"):
        made(**{"id": "a", "start": Worker} if made is ChildSpec else {}, silly=True)


def test_lists_are_taken_as_tuples_and_mappings_are_copied() -> None:
    """Who goes on changing them changes nothing here."""
    kwargs = {"x": 1}
    child = ChildSpec("a", start=Worker, args=[1, 2], kwargs=kwargs)  # type: ignore[arg-type]
    kwargs["x"] = 2
    assert (child.args, child.kwargs) == ((1, 2), {"x": 1})
    assert SupervisorSpec(children=[child]).children == (child,)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "detail"), [("died", ""), ("crash", 3)])
def test_an_exit_reason_that_is_none_is_refused_with_those_that_are(kind: Any, detail: Any) -> None:
    """It decides whether a child is restarted."""
    sentence = refusal(Exit, kind, detail)
    assert sentence.startswith(
        f"Exit({kind!r}, {detail!r}) is not accepted; give one of 'normal', 'shutdown', 'killed'"
    )


def test_an_exit_reason_reads_as_its_kind_and_what_is_known_beyond() -> None:
    """For people."""
    assert (str(Exit("killed")), str(Exit("crash", "exit code 5"))) == ("killed", "crash: exit code 5")
