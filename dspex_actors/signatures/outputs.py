"""A prediction as JSON: what goes into the journal and to the client."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum
from typing import Any

import dspy  # type: ignore[import-untyped]
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from dspex_actors.errors import OutputInvalid
from dspex_actors.signatures.checks import FieldChecks

Json = dict[str, Any]

MAX_DEPTH = 100
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


class Outputs:
    """Dumps predictions to JSON.

    Args:
        names: The output fields; None takes all that the prediction has.
        checks: Types that the outputs must have, where nothing else has checked them.
    """

    def __init__(self, names: Iterable[str] | None = None, checks: FieldChecks | None = None) -> None:
        self.names = None if names is None else tuple(names)
        self._checks = checks

    def dump(self, prediction: Any) -> Json:
        """The outputs as JSON values: models, enums and times become plain data.

        Raises:
            OutputInvalid: Not a prediction, a field is missing or of the wrong type, or a value has no JSON form.
        """
        if not isinstance(prediction, dspy.Prediction):
            kind = type(prediction).__name__
            raise OutputInvalid(f"The program returned {kind}. Return dspy.Prediction(answer=...) from it.")
        present = dict(prediction.items())
        outputs = {name: _dump(name, present[name]) for name in self.names or present if name in present}
        self._check(outputs)
        return outputs

    def _check(self, outputs: Json) -> None:
        missing = [name for name in self.names or () if name not in outputs]
        if missing:
            raise OutputInvalid(f"The prediction lacks {', '.join(missing)}, which the signature declares.")
        if self._checks is not None and (problems := self._checks.problems(outputs)):
            said = "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in problems)
            raise OutputInvalid(f"The prediction does not fit the signature: {said}.", errors=problems)


def plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON data.

    Raises:
        ValueError: It has no JSON form: not finite, beyond 64 bits, too deep, or of a kind that JSON does not have.
    """
    match value:
        case Enum():
            return plain(value.value, depth)
        case str():
            return _text(value)
        case bool() | None:
            return value
        case int() if _SMALLEST <= value <= _LARGEST:
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case int() | float():
            raise ValueError("a number that JSON cannot carry (not finite, or beyond 64 bits)")
    return _container(value, depth + 1)


def _container(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"data nested deeper than {MAX_DEPTH} levels")
    match value:
        case dict():
            return {str(plain(key, depth)): plain(item, depth) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item, depth) for item in value]
        case dspy.Example():
            return plain(dict(value.items()), depth)
        case dspy.Type() if not isinstance(value.format(), str):
            # Its own serializer writes markers for prompts, not data.
            return {name: plain(getattr(value, name), depth) for name in type(value).model_fields}
        case BaseModel():
            return plain(value.model_dump(mode="json"), depth)
    return plain(to_jsonable_python(value), depth)


def _text(value: str) -> str:
    if not value.isascii():
        value.encode()
    return str.__str__(value)


def _dump(name: str, value: Any) -> Any:
    try:
        return plain(value)
    except Exception as exc:
        # Only our own sentences are shown: others may quote the value.
        why = str(exc) if type(exc) is ValueError else f"data without a JSON form ({type(value).__name__})"
        raise OutputInvalid(f"The output `{name}` is or holds {why}. Return plain data.") from exc
