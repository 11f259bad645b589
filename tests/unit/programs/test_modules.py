"""From a specification to a module, and what is refused with which sentence."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_actors.errors import InvalidRequest, UnknownType
from dspex_actors.programs.modules import build
from tests.unit.programs.running import PACKAGE, own, spec

SIGNATURE = "question: str -> answer: str"
TALK = "question: str, history: dspy.History -> answer: str"


@pytest.mark.parametrize("module", ["predict", "chain_of_thought", own("AsyncEcho")])
def test_asynchronous_modules(module: str) -> None:
    """DSPy's own, and the user's with `aforward`."""
    assert build(spec(signature=SIGNATURE, module=module), (PACKAGE,)).is_async


@pytest.mark.parametrize("name", ["SyncEcho", "OverridesForward"])
def test_synchronous_modules(name: str) -> None:
    """Those whose own `forward` is nearest, whatever DSPy's base class has."""
    assert not build(spec(module=own(name)), (PACKAGE,)).is_async


def test_params_reach_the_constructor() -> None:
    """The generation settings of DSPy's modules, and whatever the user's constructor takes."""
    module = build(spec(signature=SIGNATURE, params={"temperature": 0.5, "stop": ["x"]}), ()).module
    assert module.config == {"temperature": 0.5, "stop": ["x"]}
    assert build(spec(module=own("SyncEcho"), params={"shout": True}), (PACKAGE,)).module.shout is True


def test_a_constructor_that_asks_for_the_signature_gets_it() -> None:
    """As DSPy's own modules do."""
    built = build(spec(signature=SIGNATURE, module=own("TakesSignature")), (PACKAGE,))
    assert list(built.module.ask.signature.input_fields) == ["question"]


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"module": "react"}, "accepted ones are predict, chain_of_thought, python:pkg.mod:Class"),
        ({}, "predict needs a signature"),
        ({"instructions": "Do."}, "instructions belong to a signature"),
        ({"signature": "q -> a", "params": {"temprature": 1}}, "temprature: unknown.*temperature"),
        ({"signature": "q -> a", "params": {"temperature": "hot"}}, "temperature: Input should be a valid number"),
        ({"signature": "q -> a", "params": {"temperature": 3}}, "less than or equal to 2"),
        ({"signature": TALK, "params": {"history_window": 1001}}, "less than or equal to 1000"),
        ({"signature": TALK, "params": {"history_window": True}}, "valid integer"),
        ({"signature": "q -> a", "params": {"history_window": 5}}, "add `history: dspy.History`"),
        ({"signature": "q -> reasoning", "module": "chain_of_thought"}, "adds the output `reasoning` itself"),
        ({"signature": "q -> a: Optional"}, "DSPy cannot read the signature"),
        ({"module": own("Unspeakable")}, "`what` has the type .* which JSON cannot carry"),
        ({"module": own("Unresolved")}, "annotations of forward cannot be resolved"),
        ({"module": "python:os.path:join"}, "set DSPEX_PROGRAM_PACKAGES"),
        ({"module": f"python:{PACKAGE}x.y:Z"}, "set DSPEX_PROGRAM_PACKAGES"),
        ({"module": "python:nonsense"}, "form python:pkg.mod:Class"),
        ({"module": f"python:{PACKAGE}.sample_modules:dspy.Predict"}, "form python:pkg.mod:Class"),
        ({"module": f"python:{PACKAGE}.absent:Z"}, f"there is no module {PACKAGE}.absent"),
        ({"module": f"python:{PACKAGE}.broken_module:Z"}, "importing .* raised RuntimeError"),
        ({"module": own("NOT_A_MODULE")}, "has no dspy.Module class named NOT_A_MODULE"),
        ({"module": own("Absent")}, "has no dspy.Module class named Absent"),
        ({"module": own("FailsToStart")}, "making FailsToStart raised RuntimeError"),
        ({"module": own("TakesSignature")}, "making TakesSignature raised TypeError"),
        ({"module": own("SyncEcho"), "params": {"loud": 1}}, "does not take loud; the accepted params are shout"),
        ({"module": own("SyncEcho"), "params": {"callbacks": []}}, "does not take callbacks"),
        ({"module": own("SyncEcho"), "params": {"history_window": 3}}, "add `history: dspy.History`"),
        ({"module": own("SyncEcho"), "signature": "text -> answer"}, "text are not parameters of forward"),
        ({"module": own("Remembers"), "signature": "question -> answer"}, "forward needs tags"),
    ],
)
def test_what_cannot_work_is_refused_with_a_sentence(members: dict[str, Any], sentence: str) -> None:
    """When the program is created, and without a text or a trace of the user's code."""
    with pytest.raises(InvalidRequest, match=f"(?is){sentence}") as caught:
        build(spec(**members), (PACKAGE,))
    assert caught.value.errors
    assert "secret text" not in caught.value.detail
    assert "Traceback" not in caught.value.detail


def test_an_unknown_type_has_its_own_code() -> None:
    """`unknown_type`, with the known ones."""
    with pytest.raises(UnknownType):
        build(spec(signature="q: Foo -> a"), ())


@pytest.mark.parametrize("packages", [(PACKAGE,), ("tests",), (f"{PACKAGE}.sample_modules",)])
def test_an_allowed_package_covers_what_is_in_it(packages: tuple[str, ...]) -> None:
    """Itself and its subpackages."""
    assert build(spec(module=own("SyncEcho")), packages).own
