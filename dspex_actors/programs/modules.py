"""From a specification to a DSPy module."""

from __future__ import annotations

import importlib
import inspect
import logging
import re
from dataclasses import dataclass
from typing import Annotated, Any

import dspy  # type: ignore[import-untyped]
from pydantic import Field as Constraint

from dspex_actors.errors import InvalidRequest
from dspex_actors.programs.forward import HISTORY, forward_of, invalid
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.signatures.bridge import history_field, signature_from
from dspex_actors.signatures.checks import Field, FieldChecks
from dspex_actors.signatures.outputs import Outputs

Json = dict[str, Any]

logger = logging.getLogger("dspex_actors.programs")

DEFAULT_WINDOW = 20
MODULES = "predict, chain_of_thought, python:pkg.mod:Class"
_BUILT_IN: dict[str, type[dspy.Module]] = {"predict": dspy.Predict, "chain_of_thought": dspy.ChainOfThought}
_WINDOW = Field("history_window", Annotated[int, Constraint(ge=0, le=1000)], required=False)
_GENERATION = (
    Field("temperature", Annotated[float, Constraint(ge=0, le=2)], required=False),
    Field("max_tokens", Annotated[int, Constraint(ge=1)], required=False),
    Field("top_p", Annotated[float, Constraint(gt=0, le=1)], required=False),
    Field("stop", list[str], required=False),
    Field("seed", int, required=False),
)
_BUILT_IN_PARAMS = FieldChecks((*_GENERATION, _WINDOW), where="params")
_WINDOW_PARAM = FieldChecks((_WINDOW,), where="params")
_PYTHON = re.compile(r"python:([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Built:
    """A module and what is known about it. `own` says that its code is the user's."""

    module: dspy.Module
    inputs: FieldChecks
    outputs: Outputs
    history: str | None
    history_window: int
    is_async: bool
    own: bool


def build(spec: ProgramSpec, packages: tuple[str, ...]) -> Built:
    """The module that a specification describes, newly made.

    Args:
        spec: What the user said.
        packages: The packages that `python:` modules may come from, subpackages included.

    Raises:
        InvalidRequest: Anything in it that cannot work, with the sentence that says what can.
        UnknownType: The signature names a type that does not exist.
    """
    signature = None if spec.signature is None else signature_from(spec.signature, spec.instructions)
    if signature is None and spec.instructions is not None:
        raise _wrong("instructions", "instructions belong to a signature; give one, or leave them out")
    if spec.module.startswith("python:"):
        return _own(spec, signature, packages)
    if spec.module not in _BUILT_IN:
        raise _wrong("module", f"`{spec.module[:200]}` is not a module; the accepted ones are {MODULES}")
    if signature is None:
        raise _wrong("signature", f"{spec.module} needs a signature, like `question: str -> answer: str`")
    return _built_in(spec, signature)


def _built_in(spec: ProgramSpec, signature: type[dspy.Signature]) -> Built:
    _BUILT_IN_PARAMS.validate(spec.params)
    if spec.module == "chain_of_thought" and "reasoning" in signature.fields:
        raise _wrong("signature", "chain_of_thought adds the output `reasoning` itself; leave it out")
    history = history_field(signature)
    inputs = FieldChecks.of_inputs(signature, history)
    FieldChecks.of_outputs(signature)
    module = _BUILT_IN[spec.module](signature, **_without_window(spec.params))
    names = module.predictors()[0].signature.output_fields
    return Built(module, inputs, Outputs(names), history, _window(spec, history), is_async=True, own=False)


def _own(spec: ProgramSpec, signature: type[dspy.Signature] | None, packages: tuple[str, ...]) -> Built:
    cls = _import(spec.module, packages)
    forward = forward_of(cls)
    history = HISTORY if forward.takes_history else None
    inputs, outputs = forward.checks(), Outputs()
    if signature is not None:
        forward.check_against(signature)
        history = history_field(signature) or history
        inputs = FieldChecks.of_inputs(signature, history)
        outputs = Outputs(signature.output_fields, FieldChecks.of_outputs(signature))
    window = _window(spec, history)
    module = _construct(cls, _without_window(spec.params), signature)
    return Built(module, inputs, outputs, history, window, forward.is_async, own=True)


def _import(path: str, packages: tuple[str, ...]) -> type[dspy.Module]:
    match = _PYTHON.fullmatch(path)
    if match is None:
        raise _wrong("module", f"`{path[:200]}` is not of the form python:pkg.mod:Class")
    module, name = match.groups()
    if not any(module == package or module.startswith(f"{package}.") for package in packages):
        listed = ", ".join(packages) or "none"
        msg = f"`{module}` is in no allow-listed package (now: {listed}); set DSPEX_PROGRAM_PACKAGES to allow it"
        raise _wrong("module", msg)
    found = getattr(_imported(module), name, None)
    if not (isinstance(found, type) and issubclass(found, dspy.Module)):
        raise _wrong("module", f"`{module}` has no dspy.Module class named {name}")
    return found


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        raise _wrong("module", f"`{module}` cannot be imported: there is no module {exc.name}; install it") from exc
    except (Exception, SystemExit) as exc:
        raise _raised(f"importing `{module}`", exc) from exc


def _construct(cls: type[dspy.Module], params: Json, signature: type[dspy.Signature] | None) -> dspy.Module:
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    # A constructor that asks for the signature gets the one of the specification.
    given = {"signature": signature} if signature is not None and "signature" in named else {}
    accepted = [name for name in named if name != "callbacks" and name not in given]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters) and (extra := sorted(params.keys() - set(accepted))):
        listed = ", ".join([*accepted, "history_window"])
        raise _wrong("params", f"{cls.__name__} does not take {', '.join(extra)}; the accepted params are {listed}")
    try:
        return cls(**given, **params)
    except (Exception, SystemExit) as exc:
        raise _raised(f"making {cls.__name__}", exc) from exc


def _window(spec: ProgramSpec, history: str | None) -> int:
    if "history_window" not in spec.params:
        return DEFAULT_WINDOW if history else 0
    _WINDOW_PARAM.validate({"history_window": spec.params["history_window"]})
    if history is None:
        raise _wrong("params", "history_window needs a history: add `history: dspy.History` to the inputs")
    return int(spec.params["history_window"])


def _without_window(params: Json) -> Json:
    return {name: value for name, value in params.items() if name != "history_window"}


def _raised(doing: str, exc: BaseException) -> InvalidRequest:
    kind = type(exc).__name__
    logger.warning("%s raised %s", doing, kind, exc_info=exc)
    return invalid(f"{doing} raised {kind}; the traceback is in the server's log")


def _wrong(field: str, problem: str) -> InvalidRequest:
    msg = f"{problem[0].upper()}{problem[1:]}."
    return InvalidRequest(msg, errors=[{"loc": [field], "msg": problem, "type": field}])
