"""Session variables: names with a type and constraints, and values that obey them.

A program declares variables for all its sessions, a session may declare more of its own. A value is JSON; what was
never set has the session's first value, or the declaration's default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import SchemaError

from dspex_actors.errors import InvalidRequest, NotFound, Problem
from dspex_actors.ids import check_name

# Any: a variable holds any JSON value.
Values = dict[str, Any]

MAX_VARIABLES = 100
MAX_BYTES = 65_536
"""What all values of a session may take as JSON: each change of one of them is recorded with all of them."""
_STEP_TOLERANCE = 1e-9
_BOUNDS = {
    "range": ("float", "int"),
    "step": ("float", "int"),
    "choices": ("choice",),
    "pattern": ("string",),
    "min_length": ("string", "list"),
    "max_length": ("string", "list"),
    "items": ("list",),
}


class Variable(BaseModel):
    """A declaration.

    `type` decides which constraints there are: `range` (lowest and highest, null for none) and `step` (counted from the
    lowest, or from 0) for `float` and `int`; `choices` for `choice`; `pattern` (of the whole text), `min_length` and
    `max_length` for `string`; the latter two and `items` (a declaration for each item) for `list`. `json` takes any
    value. Without `default` the value is null until it is set.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: Literal["float", "int", "bool", "string", "choice", "json", "list"]
    default: Any = None
    description: str | None = None
    range: tuple[float | None, float | None] | None = Field(default=None, strict=False)
    step: float | None = Field(default=None, gt=0)
    choices: tuple[str | int | float | bool, ...] | None = Field(default=None, min_length=1, strict=False)
    pattern: str | None = None
    min_length: int | None = Field(default=None, ge=0)
    max_length: int | None = Field(default=None, ge=0)
    items: Variable | None = None

    @field_validator("pattern")
    @classmethod
    def _pattern(cls, value: str | None) -> str | None:
        try:
            _matcher(value or "")
        except SchemaError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f"is no regular expression that can be used: {reason}") from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Variable:
        for name, types in _BOUNDS.items():
            if getattr(self, name) is not None and self.type not in types:
                raise ValueError(f"{name} is for {' and '.join(types)}, not for {self.type}")
        if self.type == "choice" and self.choices is None:
            raise ValueError("a choice needs choices")
        if self.default is not None and (problem := self.problem(self.default)) is not None:
            raise ValueError(f"default {problem[0]}")
        return self

    def problem(self, value: Any) -> tuple[str, str] | None:
        """What is wrong with a value, and the kind of that; None for a good one. Null is none but for `json`."""
        return _CHECKS[self.type](self, value) or _json(self, value)

    def stored(self, value: Any) -> Any:
        """A good value in the form in which it is kept: a whole number of a `float` as such, a copy of the rest."""
        return float(value) if self.type == "float" else deepcopy(value)

    def public(self) -> dict[str, Any]:
        """The declaration as the API shows it."""
        shown = self.model_dump(mode="json", exclude_none=True)
        return {**shown, "default": self.default}


Problemed = tuple[str, str] | None
Declared = Mapping[str, Variable]
_DECLARED = TypeAdapter(dict[str, Variable])


@dataclass(frozen=True, slots=True)
class Own:
    """What a session was created with beside its program's: its `declared` variables, and its first `values`."""

    declared: Declared = field(default_factory=dict)
    values: Values = field(default_factory=dict)

    def dump(self) -> str | None:
        """As text for the session's row; None where there is nothing."""
        if not self.declared and not self.values:
            return None
        declared = {
            name: variable.model_dump(mode="json", exclude_none=True) for name, variable in self.declared.items()
        }
        return orjson.dumps({"declared": declared, "values": self.values}).decode()

    @classmethod
    def parse(cls, text: str | None) -> Own:
        """The inverse of `dump`."""
        if text is None:
            return _NONE
        found = orjson.loads(text)
        return cls(_DECLARED.validate_python(found["declared"], strict=False), found["values"])

    def over(self, program: Declared) -> Declared:
        """All declarations of a session whose program has these; its own win."""
        return {**program, **self.declared} if self.declared else program


_NONE = Own()


def current(declared: Declared, first: Values, given: Values) -> Values:
    """The value of each variable: what was set, else the session's first value, else the default.

    A value that its declaration does not allow (any more: the program was changed) is left out, and is there again when
    one allows it.
    """
    return {name: _current(variable, name, first, given) for name, variable in declared.items()}


def checked(declared: Declared, values: Values) -> Values:
    """Values as they are kept.

    Raises:
        NotFound: A name is not declared.
        InvalidRequest: A value breaks its constraints; `errors` has all of them.
    """
    if missing := [name for name in values if name not in declared]:
        there = f"the session has {', '.join(sorted(declared))}" if declared else "the session has none"
        raise NotFound(f"There is no variable {missing[0]!r}; {there}. Declare it in the program, or with the session.")
    problems = {name: declared[name].problem(value) for name, value in values.items()}
    errors: list[Problem] = [
        {"loc": ["values", name], "msg": f"{name} {problem[0]}", "type": problem[1]}
        for name, problem in problems.items()
        if problem is not None
    ]
    if errors:
        raise InvalidRequest(f"{'; '.join(error['msg'] for error in errors[:3])}.", errors=errors)
    return {name: declared[name].stored(value) for name, value in values.items()}


def merged(before: Values, changed: Values) -> Values:
    """All set values after a change. Raises InvalidRequest when they are too much to be recorded with every change."""
    values = {**before, **changed}
    if (size := len(orjson.dumps(values))) > MAX_BYTES:
        msg = f"The variables would take {size:,} bytes as JSON, and {MAX_BYTES:,} are allowed"
        raise InvalidRequest(
            f"{msg}. Keep large things elsewhere.", errors=[{"loc": [], "msg": msg, "type": "too_large"}]
        )
    return values


def check_names(declared: Declared) -> Declared:
    """The declarations, if their names may name things. Raises InvalidRequest."""
    for name in declared:
        check_name(name, "variables")
    if len(declared) > MAX_VARIABLES:
        msg = f"{MAX_VARIABLES} variables may be declared, not {len(declared)}"
        raise InvalidRequest(f"{msg}.", errors=[{"loc": ["variables"], "msg": msg, "type": "too_long"}])
    return declared


def parse_declared(raw: Mapping[str, Any]) -> Declared:
    """Declarations from plain data. Raises InvalidRequest."""
    try:
        return check_names(_DECLARED.validate_python(dict(raw)))
    except ValidationError as error:
        problems: list[Problem] = [
            {"loc": ["variables", *one["loc"]], "msg": one["msg"], "type": one["type"]} for one in error.errors()
        ]
        raise InvalidRequest(f"{problems[0]['msg']}.", errors=problems) from None


def _current(variable: Variable, name: str, first: Values, given: Values) -> Any:
    for values in (given, first):
        if name in values and variable.problem(values[name]) is None:
            return values[name]
    return variable.default


def _number(variable: Variable, value: Any) -> Problemed:
    lowest, highest = variable.range or (None, None)
    if (lowest is not None and value < lowest) or (highest is not None and value > highest):
        return f"must be {_between(lowest, highest)}, not {value}", "range"
    if variable.step is not None:
        steps = (value - (lowest or 0)) / variable.step
        if not math.isfinite(steps):
            return f"is too large to be a multiple of {variable.step:.12g}", "step"
        if abs(steps - round(steps)) > _STEP_TOLERANCE * max(1.0, abs(steps)):
            return f"must be {variable.step:.12g} times a whole number from {lowest or 0:.12g} on, not {value}", "step"
    return None


def _between(lowest: float | None, highest: float | None) -> str:
    if lowest is None or highest is None:
        return f"at least {lowest:.12g}" if highest is None else f"at most {highest:.12g}"
    return f"from {lowest:.12g} to {highest:.12g}"


def _float(variable: Variable, value: Any) -> Problemed:
    if type(value) not in (int, float) or not math.isfinite(value):
        return "must be a number", "float_type"
    return _number(variable, value)


def _int(variable: Variable, value: Any) -> Problemed:
    return _number(variable, value) if type(value) is int else ("must be a whole number", "int_type")


def _bool(variable: Variable, value: Any) -> Problemed:
    return None if type(value) is bool else ("must be true or false", "bool_type")


def _length(variable: Variable, value: Any, what: str) -> Problemed:
    if variable.min_length is not None and len(value) < variable.min_length:
        return f"must have at least {variable.min_length} {what}, not {len(value)}", "too_short"
    if variable.max_length is not None and len(value) > variable.max_length:
        return f"must have at most {variable.max_length} {what}, not {len(value)}", "too_long"
    return None


def _string(variable: Variable, value: Any) -> Problemed:
    if not isinstance(value, str):
        return "must be a text", "string_type"
    if variable.pattern is not None and not _matches(variable.pattern, value):
        return f"must match {variable.pattern}", "pattern"
    return _length(variable, value, "characters")


def _matches(pattern: str, value: str) -> bool:
    try:
        _matcher(pattern).validate_python(value)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=1_000)
def _matcher(pattern: str) -> TypeAdapter[str]:
    # An engine whose time is linear: patterns are users', and are matched on the host's loop.
    return TypeAdapter(Annotated[str, StringConstraints(pattern=rf"\A(?:{pattern})\z")])


def _choice(variable: Variable, value: Any) -> Problemed:
    choices = variable.choices or ()
    # 1 and true are equal in Python, and different things here.
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return None
    return f"must be one of {', '.join(map(repr, choices))}", "choice"


def _list(variable: Variable, value: Any) -> Problemed:
    if not isinstance(value, list):
        return "must be a list", "list_type"
    if variable.items is not None:
        for place, item in enumerate(value):
            if (problem := variable.items.problem(item)) is not None:
                return f"item {place} {problem[0]}", problem[1]
    return _length(variable, value, "items")


def _json(variable: Variable, value: Any) -> Problemed:
    try:
        same = orjson.loads(orjson.dumps(value)) == value
    except TypeError as error:
        return f"must be JSON: {error}", "json_type"
    # An infinite number would come back as null, a date as text.
    return None if same else ("must be JSON: nulls, truths, finite numbers, texts, lists, objects", "json_type")


_CHECKS: Mapping[str, Callable[[Variable, Any], Problemed]] = {
    "float": _float,
    "int": _int,
    "bool": _bool,
    "string": _string,
    "choice": _choice,
    "list": _list,
    "json": lambda _variable, _value: None,
}
