"""What a prompt asks for, read from the text that DSPy's adapters write."""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dspex_actors.lm.schema_value import Schema

_CHAT = "Respond with the corresponding output fields, starting with the field "
_JSON = "Respond with a JSON object in the following order of fields: "
_NOTE = "        # note: the value you produce "
_SCHEMA = "must adhere to the JSON schema: "
_LITERAL = "must exactly match (no extra characters) one of: "
_ENUM = "must be one of: "
_STRUCTURE = "All interactions will be structured in the following way, with the appropriate values filled in."
_OBJECT = "Outputs will be a JSON object with the following fields.\n\n"
_OUTPUTS = "Your output fields are:\n"

_CHAT_FIELD = re.compile(
    r"`\[\[ ## (\w+) ## \]\]`(?: \(must be (.*?)\))?(?=, then `\[\[ ## |, and then ending with the marker)", re.DOTALL
)
_JSON_FIELD = re.compile(r"`(\w+)`(?: \(must be (.*?)\))?(?=, then `|\.\Z)", re.DOTALL)
_CHAT_NOTE = re.compile(r"^\[\[ ## (\w+) ## \]\]\n\{\1\}(.*)$", re.MULTILINE)
_ENTRY = re.compile(r"^\d+\. `(\w+)` \(", re.MULTILINE)
_BOUND = re.compile(
    r"(greater than or equal to|greater than|less than or equal to|less than): (-?[\d.]+(?:e[+-]?\d+)?)"
)
_BOUNDS = {
    "greater than or equal to": "minimum",
    "greater than": "exclusiveMinimum",
    "less than or equal to": "maximum",
    "less than": "exclusiveMaximum",
}
_SIMPLE = {
    "must be True or False": "boolean",
    "must be a single int value": "integer",
    "must be a single float value": "number",
}


@dataclass(frozen=True, slots=True)
class OutputField:
    """One output field.

    Args:
        name: The field's name in the signature.
        schema: A JSON schema of its type.
        raw: Whether a string is written as it is; other strings are written as JSON, so that a date stays a date.
    """

    name: str
    schema: Schema
    raw: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer's shape: which fields, as one JSON object or as ChatAdapter's sections. No fields: plain text."""

    fields: tuple[OutputField, ...]
    as_json: bool


def reminder_of(text: str) -> str:
    """The reminder of the output format that ends a request's user message; empty where there is none.

    Conversation turns carry it as the request itself does; few-shot demos do not, which tells the two apart.
    """
    start = max(text.rfind(_CHAT), text.rfind(_JSON))
    return text[start:] if start >= 0 else ""


def first_input(text: str, reminder: str) -> str:
    """The text of the first input field of a user message; the whole text where the message has no fields."""
    body = text.removesuffix(reminder)
    if not body.lstrip().startswith("[[ ## "):
        return body.strip()
    value = body[body.find(" ## ]]\n") + 7 :]
    return value.partition("\n\n[[ ## ")[0].strip()


@functools.lru_cache(maxsize=512)
def plan(system: str, reminder: str) -> Plan:
    """The plan for a system message and the reminder at the end of the request (kept: a program repeats both)."""
    as_json = reminder.startswith(_JSON)
    pattern = _JSON_FIELD if as_json else _CHAT_FIELD
    kinds = {found[1]: found[2] or "" for found in pattern.finditer(reminder)}
    notes = _json_notes(system) if as_json else _chat_notes(system)
    bounds = dict(_constraints(system))
    fields = (_field(name, kind, notes.get(name, ""), bounds.get(name, {})) for name, kind in kinds.items())
    return Plan(tuple(fields), as_json)


def plan_of_schema(schema: Schema) -> Plan:
    """The plan for a structured-output schema: one field a property."""
    defs = schema.get("$defs", {})
    properties = schema.get("properties", {}).items()
    return Plan(tuple(OutputField(name, {**item, "$defs": defs}, raw=False) for name, item in properties), as_json=True)


def _field(name: str, kind: str, note: str, bounds: Schema) -> OutputField:
    if note in _SIMPLE:
        return OutputField(name, {"type": _SIMPLE[note], **bounds}, raw=False)
    if note.startswith(_LITERAL):
        return OutputField(name, {"enum": _literals(kind, note.removeprefix(_LITERAL))}, raw=True)
    if note.startswith(_ENUM):
        return OutputField(name, {"enum": note.removeprefix(_ENUM).split("; ")}, raw=True)
    if note.startswith(_SCHEMA):
        schema = json.loads(note.removeprefix(_SCHEMA))
        return OutputField(name, {**schema, **bounds}, raw=_takes_text(schema))
    return OutputField(name, {"type": "string"}, raw=True)


def _takes_text(schema: Schema) -> bool:
    # DSPy hands the text of `str | None` to pydantic as it stands: quotes would become part of the answer.
    members = schema.get("anyOf", ())
    return {"type": "string"} in members and {"type": "null"} in members


def _literals(kind: str, options: str) -> list[Any]:
    try:
        values = ast.literal_eval(kind.removeprefix("formatted as a valid Python Literal"))
    except (ValueError, SyntaxError):
        return options.split("; ")
    return list(values)


def _chat_notes(system: str) -> dict[str, str]:
    notes: dict[str, str] = {}
    for found in _CHAT_NOTE.finditer(system, max(system.find(_STRUCTURE), 0)):
        notes.setdefault(found[1], found[2].removeprefix(_NOTE))
    return notes


def _json_notes(system: str) -> dict[str, str]:
    _, found, rest = system.partition(_OBJECT)
    if not found:
        return {}
    structure: Mapping[str, str] = json.JSONDecoder().raw_decode(rest)[0]
    return {name: text.removeprefix(f"{{{name}}}").removeprefix(_NOTE) for name, text in structure.items()}


def _constraints(system: str) -> Iterator[tuple[str, Schema]]:
    section = system.partition(_OUTPUTS)[2].partition(_STRUCTURE)[0]
    parts = _ENTRY.split(section)
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        limits = text.rpartition("\nConstraints: ")
        if limits[1]:
            yield name, {_BOUNDS[what]: float(number) for what, number in _BOUND.findall(limits[2])}
