"""A value for a JSON schema: what the mock says where a type is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# The values of JSON and the schemas that describe them have no narrower type.
Schema = Mapping[str, Any]

_DEPTH = 5
_FORMATS = {
    "date-time": "2024-01-02T03:04:05Z",
    "date": "2024-01-02",
    "time": "03:04:05Z",
    "duration": "PT1H",
    "uuid": "12345678-1234-4234-8234-123456789abc",
    "uuid1": "12345678-1234-1234-8234-123456789abc",
    "uuid3": "12345678-1234-3234-8234-123456789abc",
    "uuid4": "12345678-1234-4234-8234-123456789abc",
    "uuid5": "12345678-1234-5234-8234-123456789abc",
    "email": "mock@example.com",
    "uri": "http://example.com/mock",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "ipv4network": "192.0.2.0/24",
    "ipv6network": "2001:db8::/32",
    "ipv4interface": "192.0.2.1/24",
    "ipv6interface": "2001:db8::1/32",
    "json-string": "{}",
    "base64": "bW9jaw==",
    "base64url": "bW9jaw==",
    "binary": "mock",
}


def value_for(schema: Schema, saying: str, defs: Schema | None = None, depth: int = 0) -> Any:
    """A JSON value that the schema accepts; its free strings are `saying`.

    Obeys types, enumerations, references, unions (their first member that is not null), formats, bounds of numbers and
    lengths. Regular expressions are not obeyed. Recursive types end after a few levels.

    Args:
        schema: A JSON schema as pydantic writes it.
        saying: The text for strings without a format.
        defs: The `$defs` of the root schema; the schema's own when not given.
        depth: How deep inside the root this value is.
    """
    defs = schema.get("$defs", {}) if defs is None else defs
    if "$ref" in schema:
        return value_for(defs[str(schema["$ref"]).rpartition("/")[2]], saying, defs, depth)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("allOf"):
        return value_for({key: item for part in schema["allOf"] for key, item in part.items()}, saying, defs, depth)
    for union in ("anyOf", "oneOf"):
        if schema.get(union):
            return value_for(_member(schema[union], depth), saying, defs, depth + 1)
    return _of_type(schema, saying, defs, depth)


def _member(members: list[Schema], depth: int) -> Schema:
    null = next((member for member in members if member.get("type") == "null"), None)
    if depth >= _DEPTH and null is not None:
        return null
    return next((member for member in members if member is not null), members[0])


def _of_type(schema: Schema, saying: str, defs: Schema, depth: int) -> Any:
    kind = schema.get("type", "string")
    match kind[0] if isinstance(kind, list) else kind:
        case "integer":
            return _whole(schema)
        case "number":
            return _real(schema)
        case "boolean":
            return True
        case "null":
            return None
        case "array":
            return _array(schema, saying, defs, depth)
        case "object":
            return _object(schema, saying, defs, depth)
        case _:
            return _text(schema, saying)


def _whole(schema: Schema) -> int:
    step = int(schema.get("multipleOf", 1)) or 1
    low = schema.get("minimum", schema.get("exclusiveMinimum", -math.inf) + 1)
    high = schema.get("maximum", schema.get("exclusiveMaximum", math.inf) - 1)
    value = math.floor(min(max(1, low), high))
    up = math.ceil(value / step) * step
    return up if up <= high else int(high // step * step)


def _real(schema: Schema) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -math.inf))
    high = schema.get("maximum", schema.get("exclusiveMaximum", math.inf))
    value = 0.5
    if not low < value < high:
        value = low + 0.5 if high == math.inf else high - 0.5 if low == -math.inf else (low + high) / 2
    step = schema.get("multipleOf")
    return float(math.ceil(value / step) * step if step else value)


def _array(schema: Schema, saying: str, defs: Schema, depth: int) -> list[Any]:
    first = [value_for(item, saying, defs, depth + 1) for item in schema.get("prefixItems", ())]
    items = schema.get("items")
    least = schema.get("minItems", 0 if depth >= _DEPTH or not items else 1)
    count = min(max(least, len(first)), schema.get("maxItems", math.inf))
    rest = [value_for(items or {}, saying, defs, depth + 1) for _ in range(int(count) - len(first))]
    return [*first, *rest]


def _object(schema: Schema, saying: str, defs: Schema, depth: int) -> dict[str, Any]:
    required = schema.get("required", ())
    wanted = {key: item for key, item in schema.get("properties", {}).items() if depth < _DEPTH or key in required}
    built = {key: value_for(item, saying, defs, depth + 1) for key, item in wanted.items()}
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping) and (depth < _DEPTH or schema.get("minProperties")):
        # "1" is a key of a dict[str, …], a dict[int, …] and a dict[float, …] alike: the schema does not tell which.
        key = value_for({"type": "string", **schema.get("propertyNames", {"const": "1"})}, saying, defs, depth + 1)
        built[str(key)] = value_for(more, saying, defs, depth + 1)
    return built


def _text(schema: Schema, saying: str) -> str:
    text = _FORMATS.get(schema.get("format", ""), saying)
    text = text.ljust(int(schema.get("minLength", 0)), ".")
    return text[: schema["maxLength"]] if "maxLength" in schema else text
