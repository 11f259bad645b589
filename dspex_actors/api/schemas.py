"""The JSON Schemas of what the surface takes and gives, by name."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from dspex_actors.api import turn_body
from dspex_actors.api.problems import PROBLEMS
from dspex_actors.resources.moves import DrainSpec, MigrateSpec
from dspex_actors.resources.program import ProgramChange, ProgramSpec, PromoteSpec
from dspex_actors.resources.retention import Retention
from dspex_actors.resources.session import (
    ForkSpec,
    Isolation,
    OnBusy,
    RewindSpec,
    SessionChange,
    SessionSpec,
    VersionPolicy,
)
from dspex_actors.resources.turn import CancelSpec, ValueSpec, ValuesSpec

# Any: JSON Schema is an open dictionary.
Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_OBJECT: Schema = {"type": "object"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_NULLABLE: Schema = {"type": ["string", "null"]}


def ref(name: str) -> Schema:
    """A pointer to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def _record(required: str, **properties: Schema) -> Schema:
    return {"type": "object", "required": required.split(), "properties": properties}


def _page(of: str) -> Schema:
    return _record("items next_cursor", items={"type": "array", "items": ref(of)}, next_cursor=_NULLABLE)


def schemas() -> dict[str, Schema]:
    """Every schema that the table of routes or another schema names."""
    return {**_taken(), **_given(), "Problem": _problem()}


def _taken() -> dict[str, Schema]:
    return {
        **_models(ProgramSpec, ProgramChange, PromoteSpec, SessionSpec, SessionChange, ForkSpec, RewindSpec),
        **_models(CancelSpec, ValueSpec, ValuesSpec, MigrateSpec, DrainSpec, Retention),
        "PredictRequest": turn_body.SCHEMA,
    }


def _models(*models: type[BaseModel]) -> dict[str, Schema]:
    """The schemas of these, and of what they are made of."""
    made: dict[str, Schema] = {}
    for model in models:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        made |= {**schema.pop("$defs", {}), model.__name__: schema}
    return made


def _given() -> dict[str, Schema]:
    return {
        "Program": _record(
            "id name version",
            id=_TEXT,
            name=_TEXT,
            version=_COUNT,
            signature=_TEXT,
            module=_TEXT,
            params=_OBJECT,
            instructions=_TEXT,
            lm=_TEXT,
            live={"type": "boolean"},
            newest=_COUNT,
            variables={"type": "object", "additionalProperties": ref("Variable")},
            created_at=_TIME,
        ),
        "ProgramPage": _page("Program"),
        "Session": _record(
            "id program version status turns",
            id=_TEXT,
            program=_TEXT,
            version=_COUNT,
            turns=_COUNT,
            removed_turns=_COUNT,
            lm=_NULLABLE,
            created_at=_TIME,
            host=_NULLABLE,
            node=_NULLABLE,
            shard=_COUNT,
            epoch=_COUNT,
            restarts=_COUNT,
            forked_from={"anyOf": [_record("id turn", id=_TEXT, turn=_COUNT), {"type": "null"}]},
            on_busy={"enum": list(get_args(OnBusy))},
            version_policy={"enum": list(get_args(VersionPolicy))},
            changed=_COUNT,
            isolation={"enum": list(get_args(Isolation))},
            limits=ref("SessionLimits"),
            status={"enum": ["idle", "busy", "passive", "quarantined"]},
        ),
        "SessionPage": _page("Session"),
        "Answer": _record(
            "session turn turn_id outputs usage latency_ms model attempts",
            session=_TEXT,
            turn=_COUNT,
            turn_id=_TEXT,
            outputs=_OBJECT,
            usage=_OBJECT,
            latency_ms={"type": "number"},
            model=_TEXT,
            attempts=_COUNT,
        ),
        "Rewound": _record(
            "session turn_id to_turn next_turn", session=_TEXT, turn_id=_TEXT, to_turn=_COUNT, next_turn=_COUNT
        ),
        "Cancellation": _record(
            "session cancelled too_late",
            session=_TEXT,
            cancelled={"type": "array", "items": _TEXT},
            too_late={"type": "array", "items": _TEXT},
        ),
        "Migration": _record(
            "session from to pause_ms",
            **{"session": _TEXT, "from": _TEXT, "to": _TEXT, "pause_ms": {"type": "number"}},
        ),
        "Drain": _record(
            "host status moved left",
            host=_TEXT,
            status={"enum": ["drained", "draining"]},
            moved=_COUNT,
            left=_COUNT,
        ),
        "Variables": _record("session variables seq", session=_TEXT, variables=_OBJECT, seq=_COUNT),
        "VariablesSet": _record("session turn_id values seq", session=_TEXT, turn_id=_TEXT, values=_OBJECT, seq=_COUNT),
        "Turn": _turn(),
        "TurnPage": _record(
            "items next_cursor removed_turns",
            **_page("Turn")["properties"],
            removed_turns=_COUNT,
        ),
        "RetentionHeld": _record(
            "journal_days journal_turns failed_days default",
            journal_days={"type": ["number", "null"]},
            journal_turns={"type": ["integer", "null"]},
            failed_days={"type": ["number", "null"]},
            default={"type": "boolean"},
        ),
        "TreeNode": _tree_node(),
        "Health": _record("status", status=_TEXT),
        "Info": _OBJECT,
        "OpenAPI": _OBJECT,
        "ProblemCode": _record(
            "code title status retryable meaning what_to_do",
            code=_TEXT,
            title=_TEXT,
            status=_COUNT,
            retryable={"type": "boolean"},
            meaning=_TEXT,
            what_to_do=_TEXT,
        ),
    }


def _turn() -> Schema:
    return _record(
        "turn_id status inputs attempts completed_at",
        turn=_COUNT,
        turn_id=_NULLABLE,
        status={"enum": ["completed", "failed"]},
        kind={"enum": ["rewind", "variable", "bind", "model"]},
        left={"type": "boolean"},
        inputs=_OBJECT,
        outputs=_OBJECT,
        error=ref("Problem"),
        usage=_OBJECT,
        model=_TEXT,
        program=_TEXT,
        version=_COUNT,
        attempts=_COUNT,
        started_at=_TIME,
        completed_at=_TIME,
        after_turn=_COUNT,
    )


_KINDS = ("supervisor", "placement", "placement-standby", "host", "standby", "probation", "dedicated", "job")


def _tree_node() -> Schema:
    return _record(
        "id kind status children",
        id=_TEXT,
        pid={"type": ["integer", "null"]},
        node=_NULLABLE,
        restarts=_COUNT,
        last_exit=_NULLABLE,
        uptime_s={"type": ["number", "null"]},
        queue={"type": ["integer", "null"]},
        kind={"enum": [*_KINDS]},
        status={"enum": ["starting", "ready", "draining", "suspect", "dead"]},
        children={"type": "array", "items": ref("TreeNode")},
        shards=_COUNT,
        sessions=_COUNT,
        in_flight=_COUNT,
        rss_bytes=_COUNT,
        session=_NULLABLE,
    )


def _problem() -> Schema:
    error = _record("loc msg type", loc={"type": "array", "items": {"type": ["string", "integer"]}}, msg=_TEXT)
    error["properties"]["type"] = _TEXT
    return _record(
        "type title status detail code retryable",
        type=_TEXT,
        title=_TEXT,
        status=_COUNT,
        detail=_TEXT,
        code={"enum": sorted(PROBLEMS)},
        retryable={"type": "boolean"},
        retry_after_s={"type": "number"},
        request_id=_TEXT,
        errors={"type": "array", "items": error},
    )
