"""The OpenAPI 3.1 document, made of the table of routes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from dspex_actors.api.last_event import QUERY
from dspex_actors.api.listing import MAX_CURSOR, MAX_LIMIT, SORTS
from dspex_actors.api.problems import PROBLEM
from dspex_actors.api.route import Route
from dspex_actors.api.schemas import Schema, ref, schemas
from dspex_actors.api.turn_body import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S
from dspex_actors.errors import DspexError, Forbidden, Internal, InvalidRequest, StoreUnavailable, Unauthenticated

_NAME: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$"}
_RESUMES = "the last event that the client has of the turn"
_EVENT_ID: Schema = {"type": "string", "pattern": r"^[1-9][0-9]{0,3}\.[1-9][0-9]{0,8}$"}
_QUERY: dict[str, tuple[str, Schema]] = {
    "limit": ("how many items at most", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 50}),
    "cursor": ("next_cursor of the page before", {"type": "string", "maxLength": MAX_CURSOR}),
    "sort": ("the order", {"enum": list(SORTS), "default": "-created_at"}),
    "include": ("show failed attempts too", {"enum": ["failed"]}),
    "key": ("an API key", {"type": "string"}),
    QUERY: ("as the header Last-Event-ID, for clients that cannot set it", _EVENT_ID),
}
_TIMEOUT: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TIMEOUT_S, "default": DEFAULT_TIMEOUT_S}
_HEADERS: Schema = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}


def document(routes: Iterable[Route], version: str) -> Schema:
    """The whole document."""
    paths: dict[str, Schema] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "DSPex Actors", "version": version, "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": dict(paths),
        "components": {"schemas": schemas(), "headers": _headers(), "securitySchemes": _security_schemes()},
        "security": [{"bearer": []}, {"cookie": []}],
    }


def operation(route: Route) -> Schema:
    """One route as an operation."""
    made: Schema = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.path.split("/")[2] if route.path.startswith("/v1/") else "service"],
        "parameters": parameters(route),
        "responses": responses(route),
        "x-required-scope": route.scope,
    }
    if route.public:
        made["security"] = []
    if route.request:
        # Where no field must be given, no body need be; but a change that changes nothing is none.
        needed = "required" in schemas()[route.request] or route.method in ("PATCH", "PUT")
        made["requestBody"] = {"required": needed, "content": {"application/json": {"schema": ref(route.request)}}}
    return made


def _operation_id(route: Route) -> str:
    words = route.path.removeprefix("/v1").replace("{", "").replace("}", "").replace(".", "_").replace("-", "_")
    return route.method.lower() + words.replace("/", "_")


def parameters(route: Route) -> list[Schema]:
    """Path, query and header parameters."""
    made: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(name)} for name in route.params
    ]
    for name in route.query:
        description, schema = _QUERY[name]
        made.append({"name": name, "in": "query", "description": description, "schema": schema})
    if route.method in ("PATCH", "PUT"):
        text: Schema = {"type": "string"}
        made.append({"name": "If-Match", "in": "header", "description": "the ETag of what was read", "schema": text})
    if route.method in ("POST", "PATCH", "PUT"):
        made.append({"name": "Idempotency-Key", "in": "header", "description": "makes a retry safe", "schema": _NAME})
    if "text/event-stream" in route.media_types:
        made.append({"name": "Last-Event-ID", "in": "header", "description": _RESUMES, "schema": _EVENT_ID})
    if route.path.endswith(("/predict", "/events")):
        timeout = _TIMEOUT if route.method == "POST" else {**_TIMEOUT, "default": MAX_TIMEOUT_S}
        made.append({"name": "X-Request-Timeout", "in": "header", "description": "seconds", "schema": timeout})
    return made


def _path_schema(name: str) -> Schema:
    return {"type": "integer", "minimum": 1} if name == "n" else _NAME


def responses(route: Route) -> Schema:
    """The answer of a success, and one answer a status for the errors."""
    success: Schema = {"description": route.summary, "headers": dict(_HEADERS)}
    if route.answer or route.media_types in (("text/html",), ("text/event-stream",)):
        success["content"] = {media: {"schema": _answer(route, media)} for media in route.media_types}
    by_status: dict[int, list[str]] = defaultdict(list)
    for error in _errors(route):
        by_status[error.status].append(error.code)
    return {str(route.status): success} | {str(status): _failure(codes) for status, codes in sorted(by_status.items())}


def _errors(route: Route) -> dict[type[DspexError], None]:
    common: list[type[DspexError]] = [Internal, InvalidRequest]
    if route.scope:
        common += [Unauthenticated, StoreUnavailable]
        common += [] if route.open_login else [Forbidden]
    return dict.fromkeys((*route.errors, *common))


def _answer(route: Route, media: str) -> Schema:
    return ref(route.answer) if route.answer and media == "application/json" else {"type": "string"}


def _failure(codes: list[str]) -> Schema:
    content = {PROBLEM.decode(): {"schema": ref("Problem")}}
    return {"description": ", ".join(codes), "headers": dict(_HEADERS), "content": content}


def _headers() -> Schema:
    return {"RequestId": {"description": "names this request in the server's log", "schema": {"type": "string"}}}


def _security_schemes() -> Schema:
    cookie = {"type": "apiKey", "in": "cookie", "name": "dspex_key", "description": "set by /login; holds the port"}
    return {"bearer": {"type": "http", "scheme": "bearer"}, "cookie": cookie}
