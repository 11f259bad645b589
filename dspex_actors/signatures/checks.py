"""Values against declared fields: strict JSON types, every problem at once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import dspy  # type: ignore[import-untyped]
from pydantic import TypeAdapter, ValidationError

from dspex_actors.errors import InvalidRequest, Problem

Json = dict[str, Any]

_ENCODE = json.JSONEncoder(allow_nan=False).encode
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Field:
    """One declared field: its type as Python spells it, and whether it must be there."""

    name: str
    annotation: Any
    required: bool = True


class FieldChecks:
    """Checks JSON values by declared fields. Built once a signature; then two text fields take about a microsecond.

    Types are strict as in JSON: an `int` refuses `"5"` and `true`, a `float` takes `3`, a `datetime` takes its text.

    Args:
        fields: What is declared, without the conversation.
        where: What the values are called in problems: `inputs`, `outputs` or `params`.
        history: The field that the session fills in; refused when a client sends it.
        open_ended: Whether undeclared fields are fine (a module that takes `**kwargs`).

    Raises:
        InvalidRequest: A declared type that cannot be checked.
    """

    def __init__(
        self, fields: Iterable[Field], *, where: str = "inputs", history: str | None = None, open_ended: bool = False
    ) -> None:
        self.fields = {field.name: field for field in fields}
        self._where = where
        self._history = history
        self._open_ended = open_ended
        self._adapters = {field.name: _adapter(field, where) for field in self.fields.values()}
        self._names = self.fields.keys()
        self._accepts = [(name, _acceptor(self.fields[name].annotation, self._adapters[name])) for name in self._names]
        self._converted = [name for name in self._names if not _is_json(self.fields[name].annotation)]

    @classmethod
    def of_inputs(cls, signature: type[dspy.Signature], history: str | None) -> FieldChecks:
        """The checks for the inputs of a signature, whose conversation is in the field `history`."""
        fields = signature.input_fields.items()
        return cls((_field(name, info) for name, info in fields if name != history), history=history)

    @classmethod
    def of_outputs(cls, signature: type[dspy.Signature]) -> FieldChecks:
        """The checks for the outputs of a signature."""
        return cls((_field(name, info) for name, info in signature.output_fields.items()), where="outputs")

    def validate(self, values: Json) -> None:
        """Nothing, when the values fit.

        Raises:
            InvalidRequest: They do not; `errors` has one problem a field, each at `[where, name]`.
        """
        if isinstance(values, dict) and values.keys() == self._names:
            for name, accepts in self._accepts:
                if not accepts(values[name]):
                    break
            else:
                return
        if problems := self.problems(values):
            said = "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in problems)
            raise InvalidRequest(f"The {self._where} do not fit: {said}. {self._advice()}", errors=problems)

    def problems(self, values: Json) -> list[Problem]:
        """Everything that does not fit, one problem a field."""
        if not isinstance(values, dict):
            return [{"loc": [self._where], "msg": "should be a JSON object", "type": "dict_type"}]
        found = [self._problem(name, "is missing", "missing") for name in self.fields if self._lacks(name, values)]
        found += [self._unexpected(name) for name in values if self._is_unexpected(name)]
        wrong = [name for name, accepts in self._accepts if name in values and not accepts(values[name])]
        return found + [self._mistyped(name, values[name]) for name in wrong]

    def convert(self, values: Json) -> Json:
        """Checked values as Python declares them: text becomes a `datetime`, an object a pydantic model."""
        if not self._converted:
            return values
        made = {name: _parse(self._adapters[name], values[name]) for name in self._converted if name in values}
        return {**values, **made}

    def _lacks(self, name: str, values: Json) -> bool:
        return self.fields[name].required and name not in values

    def _is_unexpected(self, name: str) -> bool:
        return name not in self.fields and (name == self._history or not self._open_ended)

    def _unexpected(self, name: str) -> Problem:
        if name == self._history:
            return self._problem(name, "the session keeps the history itself; leave it out", "history")
        return self._problem(name, "is not a field of this program" if self._where != "params" else "unknown", "extra")

    def _mistyped(self, name: str, value: Any) -> Problem:
        try:
            _parse(self._adapters[name], value)
        except ValidationError as exc:
            errors = exc.errors(include_url=False, include_context=False, include_input=False)
            texts = [_text(error["loc"], error["msg"]) for error in errors[:_SHOWN]]
            return self._problem(name, "; ".join(texts), errors[0]["type"])
        except Exception as exc:
            return self._problem(name, f"cannot be read ({type(exc).__name__})", "value_error")
        return self._problem(name, "is not a JSON value of the declared type", "json_type")

    def _problem(self, name: str, msg: str, kind: str) -> Problem:
        return {"loc": [self._where, name], "msg": msg, "type": kind}

    def _advice(self) -> str:
        if not self.fields:
            return f"It takes no {self._where}."
        return f"The fields are {', '.join(map(_shown, self.fields.values()))}."


def type_name(annotation: Any) -> str:
    """A type as people write it."""
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)


def _shown(field: Field) -> str:
    return f"{field.name}: {type_name(field.annotation)}{'' if field.required else ' (optional)'}"


def _field(name: str, info: Any) -> Field:
    # `rebuild_annotation` keeps the constraints that pydantic moved out of the type.
    return Field(name, info.rebuild_annotation(), info.is_required())


def _adapter(field: Field, where: str) -> TypeAdapter[Any]:
    try:
        adapter = TypeAdapter(field.annotation)
        adapter.json_schema()
    except Exception as exc:
        msg = f"`{field.name}` has the type {type_name(field.annotation)}, which JSON cannot carry"
        problem: Problem = {"loc": [where, field.name], "msg": msg, "type": "type"}
        raise InvalidRequest(f"{msg}. Use str, int, float, bool, list, dict or a model.", errors=[problem]) from exc
    return adapter


def _parse(adapter: TypeAdapter[Any], value: Any) -> Any:
    return adapter.validate_json(_ENCODE(value), strict=True)


def _acceptor(annotation: Any, adapter: TypeAdapter[Any]) -> Callable[[Any], bool]:
    if annotation is str:
        return lambda value: type(value) is str
    if annotation is int:
        return lambda value: type(value) is int
    if annotation is bool:
        return lambda value: type(value) is bool
    if annotation is float:
        return lambda value: type(value) is int or (type(value) is float and math.isfinite(value))
    return lambda value: _parses(adapter, value)


def _parses(adapter: TypeAdapter[Any], value: Any) -> bool:
    try:
        _parse(adapter, value)
    except Exception:
        return False
    return True


def _is_json(annotation: Any) -> bool:
    """Whether a checked JSON value already is the Python value."""
    if annotation in (str, int, float, bool, None, NoneType, Any, list, dict):
        return True
    if get_origin(annotation) is Literal:
        return True
    if get_origin(annotation) in (list, dict, Union, UnionType):
        return all(_is_json(argument) for argument in get_args(annotation))
    return False


def _text(path: tuple[int | str, ...], msg: str) -> str:
    return f"{'.'.join(map(str, path))}: {msg}" if path else msg
