"""Between this package's requests and httpx's."""

from __future__ import annotations

from typing import Any

import httpx

from dspex_actors.client.attempts import CONNECT_S, Request
from dspex_actors.client.failures import Answer, Lost
from dspex_actors.client.origin import Origin

POOLED = 100
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def options(origin: Origin) -> dict[str, Any]:
    """The settings of an httpx client for this server.

    A local server is asked directly, whatever proxy the environment names; without TLS no certificates are read.
    """
    return {
        "base_url": origin.url,
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=POOLED),
        "trust_env": not origin.is_local,
        "verify": origin.url.startswith("https:"),
    }


def outgoing(request: Request, read_s: float) -> dict[str, Any]:
    """The arguments of `httpx.Client.build_request`."""
    timeout = httpx.Timeout(connect=request.connect_s, read=read_s, write=read_s, pool=CONNECT_S)
    return {
        "method": request.method,
        "url": request.path,
        "headers": request.headers,
        "content": request.body,
        "timeout": timeout,
    }


def whole(response: httpx.Response) -> Answer:
    """A response whose body has been read."""
    return Answer(response.status_code, response.headers, response.content)


def is_stream(response: httpx.Response) -> bool:
    """Whether the response is an event stream."""
    return response.status_code == 200 and response.headers.get("content-type", "").startswith("text/event-stream")


def head(response: httpx.Response) -> Answer:
    """A response whose body is still to come."""
    return Answer(response.status_code, response.headers, b"")


def lost(error: httpx.TransportError) -> Lost:
    """What a broken connection means: only one that was never made is sure not to have carried the request."""
    return Lost(not isinstance(error, _UNSENT), type(error).__name__)
