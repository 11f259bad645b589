"""The ASGI application: how a request finds its handler, and what becomes of an error.

A request without a good key learns nothing but the two health checks: its key is checked before its address is.
"""

from __future__ import annotations

import logging
from functools import cache

import orjson

from dspex_actors.api.asgi import ASGIApp, ClientGone, Receive, Response, Scope, Send, send_response
from dspex_actors.api.auth import authenticate
from dspex_actors.api.call import Call, Surface
from dspex_actors.api.listing import parse_query
from dspex_actors.api.openapi import document
from dspex_actors.api.problems import problem_response
from dspex_actors.api.route import Place, find, tree_of
from dspex_actors.api.routes import ROUTES
from dspex_actors.api.runtime import Runtime
from dspex_actors.errors import DspexError, Forbidden, Internal, InvalidRequest, NotFound
from dspex_actors.ids import check_name, new_ulid

log = logging.getLogger("dspex_actors.api")

KEEP_ALIVE_S = 15.0
_FAILED = "The server failed. Report it with the request_id; its log has the cause."


def create_app(runtime: Runtime, *, version: str = "1", keep_alive_s: float = KEEP_ALIVE_S) -> ASGIApp:
    """The HTTP surface over a runtime, as an ASGI application.

    Args:
        runtime: What answers; the application neither starts nor stops it.
        version: The version that `/openapi.json` names.
        keep_alive_s: Seconds between the comment lines of an event stream.
    """
    return App(Surface(runtime, _openapi(version), keep_alive_s))


@cache
def _openapi(version: str) -> bytes:
    return orjson.dumps(document(ROUTES, version))


class App:
    """Routes each request; every request gets one answer, an unexpected error the problem `internal`."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._root = tree_of(ROUTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection's scope, as ASGI has it."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        call = Call(self._surface, scope, receive, send, headers, _request_id(headers), {}, {})
        try:
            response = await self._handle(call)
        except ClientGone:
            return
        except DspexError as error:
            response = problem_response(error, call.request_id)
        except Exception:
            log.exception("request %s failed", call.request_id)
            response = problem_response(Internal(_FAILED), call.request_id)
        if response is not None and not call.answered:
            await send_response(send, response, call.request_id, head=scope["method"] == "HEAD")

    async def _handle(self, call: Call) -> Response | None:
        # A key may stand in any query by mistake: the server's access log reads the scope after us.
        query_string, call.scope["query_string"] = call.scope["query_string"], b""
        found = find(self._root, _raw_path(call.scope))
        place = found[0] if found else _NOWHERE
        if not (found and place.public):
            call.principal = await authenticate(call)
        if found is None:
            raise NotFound("There is nothing at this address. /openapi.json lists what there is.")
        route = place.route(call.scope["method"])
        if route.scope and not route.public and not call.principal.may(route.scope):
            raise Forbidden(f"This call needs a key with the scope {route.scope}.")
        call.params = dict(zip(route.params, found[1], strict=True))
        call.query = parse_query(query_string, route.query)
        return await route.handler(call)


_NOWHERE = Place()


def _raw_path(scope: Scope) -> str:
    raw: bytes | None = scope.get("raw_path")
    path: str = scope["path"]
    return path if raw is None else raw.partition(b"?")[0].decode("latin-1")


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id")
    if given is not None:
        try:
            return check_name(given.decode("latin-1"), "X-Request-Id")
        except InvalidRequest:
            pass
    return new_ulid()


async def _lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
