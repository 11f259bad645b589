"""DSPy's string signatures, read strictly: only names of known types, nothing dropped in silence.

DSPy's own parser imports whatever module a type name spells and looks names up in its callers' frames. A signature
comes from a client, so every name is checked against a fixed table first.
"""

from __future__ import annotations

import ast
import datetime
import decimal
import uuid
from types import EllipsisType
from typing import Any

import dspy  # type: ignore[import-untyped]

from dspex_actors.errors import InvalidRequest, UnknownType

MAX_LENGTH = 10_000
_FORM = "`question: str, tags: list[str] -> answer: str, score: float`"
_PLAIN = ("str", "int", "float", "bool", "list", "dict", "tuple", "set", "frozenset", "bytes")
_TYPING = ("Any", "Literal", "Optional", "Union", "List", "Dict", "Tuple", "Set", "FrozenSet", "Sequence", "Mapping")
_MODULES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "datetime": (datetime, ("datetime", "date", "time", "timedelta")),
    "decimal": (decimal, ("Decimal",)),
    "uuid": (uuid, ("UUID",)),
    "dspy": (dspy, ("History", "Code", "Reasoning")),
}
_DOTTED = tuple(f"{module}.{name}" for module, (_, names) in _MODULES.items() for name in names)
_RESERVED = frozenset({"signature", "demos", "config", "lm", "new_signature"})


def signature_from(text: str, instructions: str | None = None) -> type[dspy.Signature]:
    """The signature class for DSPy's string form, `inputs -> outputs`.

    Args:
        text: Comma separated fields on both sides of one `->`, each a name with an optional `: type` (default `str`).
        instructions: What the model is told to do; DSPy's own sentence when left out.

    Raises:
        UnknownType: A type name that signatures do not know.
        InvalidRequest: Anything else that is not of that form.

    >>> list(signature_from("question -> answer: int").output_fields)
    ['answer']
    """
    _check(text)
    try:
        # Given types keep DSPy from searching the callers' frames.
        known = {name: module for name, (module, _) in _MODULES.items()} | {"NoneType": type(None)}
        return dspy.Signature(text, instructions, custom_types=known)  # type: ignore[no-any-return]
    except Exception as exc:
        raise malformed("DSPy cannot read the signature") from exc


def history_field(signature: type[dspy.Signature]) -> str | None:
    """The name of the input that holds the conversation (`dspy.History`), if there is one.

    Raises:
        InvalidRequest: There is more than one.
    """
    names = [name for name, field in signature.input_fields.items() if field.annotation is dspy.History]
    if len(names) > 1:
        raise malformed(f"a signature has one dspy.History field, not {len(names)} ({', '.join(names)})")
    return names[0] if names else None


def malformed(problem: str) -> InvalidRequest:
    """The error for a signature that is not of the accepted form, which it shows."""
    msg = f"{problem[0].upper()}{problem[1:]}. Write it like {_FORM}."
    return InvalidRequest(msg, errors=[{"loc": ["signature"], "msg": problem, "type": "signature"}])


def _check(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise malformed(f"the signature is longer than {MAX_LENGTH} characters")
    if text.count("->") != 1:
        raise malformed("a signature has exactly one `->` between its inputs and its outputs")
    before, after = text.split("->")
    inputs, outputs = _fields(before), _fields(after)
    if not outputs:
        raise malformed("a signature has at least one output, after the `->`")
    names = [field.arg for field in inputs + outputs]
    for name in names:
        if names.count(name) > 1:
            raise malformed(f"field `{name}` is there twice")
        if name.startswith(("_", "model_", "dspy_")):
            raise malformed(f"field `{name}` begins like an internal name (_, model_, dspy_); call it something else")
    for taken in _RESERVED.intersection(field.arg for field in inputs):
        raise malformed(f"input `{taken}` is an argument that DSPy itself takes; call it something else")
    for field in inputs + outputs:
        if field.annotation is not None:
            _check_type(field.annotation)


def _fields(side: str) -> list[ast.arg]:
    try:
        body = ast.parse(f"def f({side}): pass").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        raise malformed(f"`{side.strip()[:100]}` is not a list of fields") from exc
    match body:
        case [ast.FunctionDef(args=arguments, returns=None, body=[ast.Pass()])]:
            odd = [*arguments.posonlyargs, *arguments.kwonlyargs, *arguments.defaults]
            if not odd and arguments.vararg is None and arguments.kwarg is None:
                return arguments.args
    raise malformed(f"`{side.strip()[:100]}` holds more than names and types (no defaults, no stars)")


def _check_type(node: ast.expr) -> None:
    match node:
        case ast.Name(id=name):
            if name not in _PLAIN and name not in _TYPING:
                raise _unknown(name)
        case ast.Attribute():
            if ast.unparse(node) not in _DOTTED:
                raise _unknown(ast.unparse(node))
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            _check_literals(values)
        case ast.Subscript(value=base, slice=arguments):
            _check_type(base)
            for argument in arguments.elts if isinstance(arguments, ast.Tuple) else [arguments]:
                _check_type(argument)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            _check_type(left)
            _check_type(right)
        case ast.Constant(value=None) | ast.Constant(value=EllipsisType()):
            pass
        case _:
            raise malformed(f"`{ast.unparse(node)[:100]}` is not a type")


def _check_literals(values: ast.expr) -> None:
    for value in values.elts if isinstance(values, ast.Tuple) else [values]:
        if not (isinstance(value, ast.Constant) and isinstance(value.value, str | int | None)):
            raise malformed("Literal takes strings, integers, True, False and None")


def _unknown(name: str) -> UnknownType:
    known = ", ".join((*_PLAIN, *_TYPING, *_DOTTED))
    msg = f"`{name[:100]}` is not a type that a signature knows"
    return UnknownType(
        f"{msg}. Use one of {known}, like {_FORM}.", errors=[{"loc": ["signature"], "msg": msg, "type": "unknown_type"}]
    )
