"""One request on its way through the surface."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dspex_actors.api.asgi import Receive, Response, Scope, Send
from dspex_actors.api.runtime import Runtime
from dspex_actors.errors import InvalidRequest, NotFound
from dspex_actors.ids import body_hash, check_name
from dspex_actors.resources.key import Principal
from dspex_actors.store.port import Idempotency

NOBODY = Principal("", "", ())


@dataclass(frozen=True, slots=True)
class Surface:
    """What all requests share: the runtime, the OpenAPI document as JSON text, and how often an idle event stream
    gets a comment line, in seconds."""

    runtime: Runtime
    openapi: bytes
    keep_alive_s: float


@dataclass(slots=True)
class Call:
    """A request with its checked parts; `answered` once the status line is out."""

    surface: Surface
    scope: Scope
    receive: Receive
    send: Send
    headers: dict[bytes, bytes]
    request_id: str
    params: dict[str, str]
    query: dict[str, str]
    principal: Principal = NOBODY
    answered: bool = False

    @property
    def runtime(self) -> Runtime:
        """The system below."""
        return self.surface.runtime

    @property
    def tenant(self) -> str:
        """Whose things this call is about."""
        return self.principal.tenant

    def name(self, param: str, what: str) -> str:
        """A path parameter that names a `what`. A name that nothing can have is the name of nothing: NotFound."""
        try:
            return check_name(self.params[param], param)
        except InvalidRequest as error:
            raise NotFound(f"No {what} can have the name in this path. Check the address.") from error

    def idempotency_key(self) -> str | None:
        """The client's `Idempotency-Key`. Raises InvalidRequest when it is not a name."""
        value = self.headers.get(b"idempotency-key")
        return None if value is None else check_name(value.decode("latin-1"), "Idempotency-Key")

    def idempotency(self, route: str, payload: object) -> Idempotency | None:
        """The key of a POST that is not a turn, with all that scopes it."""
        key = self.idempotency_key()
        if key is None:
            return None
        return Idempotency(self.tenant, self.principal.key_id, route, key, body_hash(route, payload))


Handler = Callable[[Call], Awaitable[Response | None]]
"""Answers a call; None when it has sent the answer itself, or the client has gone."""
