"""`field=value` and `field:=json` arguments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson
import typer

# Any: JSON objects are open dictionaries.
Json = dict[str, Any]

_FIELD = re.compile(r"(\w[\w.~-]*)(:?=)(.*)", re.DOTALL)


def parse_fields(arguments: Sequence[str]) -> Json:
    """`name=text` gives a string, `name:=json` any value. Raises typer.BadParameter for anything else."""
    return _pairs(arguments, always_json=False, how="field=text or field:=json")


def parse_params(arguments: Sequence[str]) -> Json:
    """`name=json` gives a value. Raises typer.BadParameter for anything else."""
    return _pairs(arguments, always_json=True, how="name=json")


def parse_object(text: str | bytes, what: str) -> Json:
    """A JSON object. Raises typer.BadParameter when the text is none."""
    value = _value(text, what)
    if not isinstance(value, dict):
        raise typer.BadParameter(f'{what} takes a JSON object, like \'{{"question": "Why?"}}\'.')
    return value


def _pairs(arguments: Sequence[str], *, always_json: bool, how: str) -> Json:
    fields: Json = {}
    for argument in arguments:
        match = _FIELD.fullmatch(argument)
        if match is None:
            raise typer.BadParameter(f"'{argument}' is not {how}.")
        name, sign, text = match.groups()
        if name in fields:
            raise typer.BadParameter(f"{name} is given twice.")
        fields[name] = _value(text, name) if always_json or sign == ":=" else text
    return fields


def _value(text: str | bytes, what: str) -> object:
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"{what}: this is not JSON ({error}). Strings need double quotes.") from None
    return value
