"""The table of routes. The router, the checks of scope and query, and the OpenAPI document are made of it.

Scopes: reading needs `read`, sessions and their turns need `write`, changing programs needs `admin`.
"""

from __future__ import annotations

from dspex_actors.api import (
    auth,
    last_event,
    listing,
    operations,
    predict,
    problems,
    programs,
    retention,
    sessions,
    system,
    turn_events,
    turns,
    variables,
)
from dspex_actors.api.docs_page import docs
from dspex_actors.api.route import Route
from dspex_actors.errors import (
    AlreadyExists,
    BodyTooLarge,
    Cancelled,
    DeadlineExceeded,
    DspexError,
    Gone,
    HostLost,
    IdempotencyMismatch,
    InUse,
    InvalidJson,
    InvalidRequest,
    LMFailed,
    LMRateLimited,
    LMTimeout,
    MailboxFull,
    NoCapacity,
    NotFound,
    OutcomeUnknown,
    OutputInvalid,
    PreconditionFailed,
    ProgramFailed,
    Quarantined,
    SessionBusy,
    UnknownType,
)

_BODY: tuple[type[DspexError], ...] = (InvalidJson, BodyTooLarge, InvalidRequest)
_TURN: tuple[type[DspexError], ...] = (
    *(NotFound, Gone, IdempotencyMismatch, PreconditionFailed, MailboxFull, SessionBusy, Quarantined),
    *(DeadlineExceeded, Cancelled),
    *(OutcomeUnknown, LMFailed, LMTimeout, LMRateLimited, OutputInvalid, ProgramFailed, HostLost, NoCapacity),
)
_REWIND: tuple[type[DspexError], ...] = (
    *(NotFound, Gone, IdempotencyMismatch, MailboxFull, SessionBusy, Quarantined, DeadlineExceeded, Cancelled),
    *(OutcomeUnknown, HostLost, NoCapacity),
)
_MADE = (*_BODY, AlreadyExists, IdempotencyMismatch)
_LIST = (InvalidRequest,)
_ONE = (NotFound,)
_KEPT = (NotFound, Gone)
_SESSION = "/v1/sessions/{id}"

ROUTES: tuple[Route, ...] = (
    Route(
        *("POST", f"{_SESSION}/predict", predict.predict, "Run a turn", "write"),
        request="PredictRequest",
        answer="Answer",
        errors=(*_BODY, *_TURN),
        media_types=("application/json", "text/event-stream"),
    ),
    Route(
        *("POST", "/v1/programs", programs.create, "Create a program", "admin"),
        request="ProgramSpec",
        answer="Program",
        status=201,
        errors=(*_MADE, UnknownType),
    ),
    Route(
        *("GET", "/v1/programs", programs.index, "List programs"),
        query=listing.SORTED,
        answer="ProgramPage",
        errors=_LIST,
    ),
    Route("GET", "/v1/programs/{name}", programs.show, "Show a program", answer="Program", errors=_ONE),
    Route(
        *("PATCH", "/v1/programs/{name}", programs.change, "Make a new version of a program", "admin"),
        request="ProgramChange",
        answer="Program",
        errors=(*_BODY, NotFound, UnknownType, PreconditionFailed, IdempotencyMismatch),
    ),
    Route(
        *("GET", "/v1/programs/{name}/versions", programs.versions, "List a program's versions"),
        query=listing.SORTED,
        answer="ProgramPage",
        errors=(*_LIST, NotFound),
    ),
    Route(
        *("POST", "/v1/programs/{name}/promote", programs.promote, "Let a version be the live one", "admin"),
        request="PromoteSpec",
        answer="Program",
        errors=(*_BODY, NotFound, PreconditionFailed),
    ),
    Route(
        *("DELETE", "/v1/programs/{name}", programs.delete, "Delete a program", "admin"),
        status=204,
        errors=(NotFound, InUse),
    ),
    Route(
        *("POST", "/v1/sessions", sessions.create, "Create a session", "write"),
        request="SessionSpec",
        answer="Session",
        status=201,
        errors=(*_MADE, NotFound),
    ),
    Route(
        *("GET", "/v1/sessions", sessions.index, "List sessions"),
        query=listing.SORTED,
        answer="SessionPage",
        errors=_LIST,
    ),
    Route("GET", _SESSION, sessions.show, "Show a session", answer="Session", errors=_ONE),
    Route(
        *("PATCH", _SESSION, sessions.change, "Change version, model or policies of a session", "write"),
        request="SessionChange",
        answer="Session",
        errors=(*_BODY, *_REWIND, PreconditionFailed),
    ),
    Route(
        *("GET", f"{_SESSION}/variables", variables.index, "Show a session's variables"),
        answer="Variables",
        errors=_ONE,
    ),
    Route(
        *("PUT", f"{_SESSION}/variables", variables.replace, "Set these variables, and no others", "write"),
        request="ValuesSpec",
        answer="VariablesSet",
        errors=(*_BODY, *_REWIND, PreconditionFailed),
    ),
    Route(
        *("PUT", f"{_SESSION}/variables/{{name}}", variables.put, "Set a variable", "write"),
        request="ValueSpec",
        answer="VariablesSet",
        errors=(*_BODY, *_REWIND, PreconditionFailed),
    ),
    Route(
        *("POST", f"{_SESSION}/restart", sessions.restart, "Restart a session, out of quarantine too", "write"),
        answer="Session",
        errors=(NotFound, NoCapacity),
    ),
    Route(
        *("POST", f"{_SESSION}/fork", sessions.fork, "Create a session with the past of this one", "write"),
        request="ForkSpec",
        answer="Session",
        status=201,
        errors=(*_MADE, NotFound, Gone),
    ),
    Route(
        *("POST", f"{_SESSION}/rewind", sessions.rewind, "Go back to a turn, or forward to one left behind", "write"),
        request="RewindSpec",
        answer="Rewound",
        errors=(*_BODY, *_REWIND),
    ),
    Route(
        *("POST", f"{_SESSION}/cancel", sessions.cancel, "Cancel the running turn, or a named one", "write"),
        request="CancelSpec",
        answer="Cancellation",
        errors=(*_BODY, NotFound, NoCapacity),
    ),
    Route(
        *("POST", f"{_SESSION}/migrate", operations.migrate, "Move a session to another host", "write"),
        request="MigrateSpec",
        answer="Migration",
        errors=(*_BODY, NotFound, NoCapacity, SessionBusy),
    ),
    Route("DELETE", _SESSION, sessions.delete, "Delete a session", "write", status=204, errors=_ONE),
    Route(
        *("GET", f"{_SESSION}/turns", turns.index, "List a session's turns, oldest first"),
        query=(*listing.PAGE, "include"),
        answer="TurnPage",
        errors=(*_LIST, NotFound),
    ),
    Route("GET", f"{_SESSION}/turns/{{n}}", turns.show, "Show a turn", answer="Turn", errors=_KEPT),
    Route(
        *("GET", f"{_SESSION}/turns/by-id/{{turn_id}}", turns.show_by_id, "Show the outcome of a turn by its key"),
        answer="Turn",
        errors=_KEPT,
    ),
    Route(
        *("GET", f"{_SESSION}/turns/by-id/{{turn_id}}/events", turn_events.follow, "Resume the stream of a turn"),
        query=(last_event.QUERY,),
        errors=(InvalidRequest, NotFound, Gone, HostLost, OutcomeUnknown),
        media_types=("text/event-stream",),
    ),
    Route("GET", "/v1/retention", retention.show, "Show how long the past of sessions is kept", answer="RetentionHeld"),
    Route(
        *("PUT", "/v1/retention", retention.put, "Say how long the past of sessions is kept", "admin"),
        request="Retention",
        answer="RetentionHeld",
        errors=(*_BODY, PreconditionFailed),
    ),
    Route(
        *("DELETE", "/v1/retention", retention.delete, "Let the server's retention hold", "admin"),
        status=204,
        errors=(PreconditionFailed,),
    ),
    Route("GET", "/v1/tree", system.tree, "Show the supervision tree", answer="TreeNode"),
    Route(
        *("POST", "/v1/hosts/{id}/drain", operations.drain, "Let a host give away all it has, and end", "admin"),
        request="DrainSpec",
        answer="Drain",
        errors=(*_BODY, NotFound, NoCapacity),
    ),
    Route("GET", "/livez", system.livez, "Tell that the process answers", None, answer="Health"),
    Route(
        *("GET", "/readyz", system.readyz, "Tell whether every part can serve", None),
        answer="Health",
        errors=(NoCapacity,),
    ),
    Route("GET", "/info", system.info, "Show version and models", answer="Info"),
    Route("GET", "/openapi.json", system.openapi, "Describe this surface", answer="OpenAPI"),
    Route("GET", "/docs", docs, "Show this surface to a browser", media_types=("text/html",)),
    Route(
        *("GET", "/login", auth.login, "Trade a key for a cookie"),
        query=("key",),
        status=303,
        media_types=(),
        open_login=True,
    ),
    Route("GET", "/problems/{code}", problems.explain, "Explain an error code", answer="ProblemCode", errors=_ONE),
)
