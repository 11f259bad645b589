"""DSPy programs as supervised, durable sessions.

`local` runs everything in this process; `Client` and `AsyncClient` ask a running server; every error that a user can
catch is a class here. What is heavy is imported when it is first used, so `import dspex_actors` costs milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from dspex_actors.errors import (
    AlreadyExists,
    BodyTooLarge,
    Cancelled,
    DeadlineExceeded,
    Draining,
    DspexError,
    Forbidden,
    Gone,
    HostLost,
    IdempotencyMismatch,
    Internal,
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
    PoisonTurn,
    PreconditionFailed,
    ProgramFailed,
    Quarantined,
    SessionBusy,
    StoreUnavailable,
    Unauthenticated,
    UnknownType,
)

if TYPE_CHECKING:
    from dspex_actors.client.async_client import AsyncClient
    from dspex_actors.client.attempts import Retry
    from dspex_actors.client.client import Client
    from dspex_actors.client.failures import Unreachable
    from dspex_actors.embedded.local import local
    from dspex_actors.programs.current import current_turn

    __version__: str

__all__ = [
    "AlreadyExists",
    "AsyncClient",
    "BodyTooLarge",
    "Cancelled",
    "Client",
    "DeadlineExceeded",
    "Draining",
    "DspexError",
    "Forbidden",
    "Gone",
    "HostLost",
    "IdempotencyMismatch",
    "InUse",
    "Internal",
    "InvalidJson",
    "InvalidRequest",
    "LMFailed",
    "LMRateLimited",
    "LMTimeout",
    "MailboxFull",
    "NoCapacity",
    "NotFound",
    "OutcomeUnknown",
    "OutputInvalid",
    "PoisonTurn",
    "PreconditionFailed",
    "ProgramFailed",
    "Quarantined",
    "Retry",
    "SessionBusy",
    "StoreUnavailable",
    "Unauthenticated",
    "UnknownType",
    "Unreachable",
    "__version__",
    "current_turn",
    "local",
]

_LATER = {
    "AsyncClient": "dspex_actors.client",
    "Client": "dspex_actors.client",
    "Retry": "dspex_actors.client",
    "Unreachable": "dspex_actors.client",
    "current_turn": "dspex_actors.programs.current",
    "local": "dspex_actors.embedded.local",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = import_module("importlib.metadata").version("dspex-actors")
    elif name in _LATER:
        value = getattr(import_module(_LATER[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
