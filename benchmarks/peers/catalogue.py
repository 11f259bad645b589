"""The peers as servers that can be started, and what to send them."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import orjson

from benchmarks.ports import free_port
from benchmarks.server import Server
from benchmarks.wire import Target, http_request

SERVE = "Ray Serve + DSPy"
SERVE_WIDE = "Ray Serve + DSPy, 100 ongoing"
SERVE_FAST = "Ray Serve + DSPy, HAProxy fast mode"
ASYNCIFY = "FastAPI + dspy.asyncify"
RESTARTED = "Ray actor, max_restarts=-1"


def _ray_env() -> dict[str, str]:
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the switch by which Ray stays on loopback
        "SPT_NOENV": "1",  # a process that sets its title must not overwrite the server's mark
    }


def _haproxy_env() -> dict[str, str]:
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "{folder}/h/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": "{folder}/h/admin.sock",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": "{folder}/h/metrics.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "{folder}/h",
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "{folder}/h/server-state",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
    }


def _ray_peer(name: str, module: str, env: dict[str, str], *arguments: str) -> Server:
    command = ["-m", f"benchmarks.peers.{module}", "--port", "{port}", "--folder", "{folder}", *arguments]
    return Server(name, command, {**_ray_env(), **env})


def serve() -> Server:
    """Stock Ray Serve, every setting at its default."""
    return _ray_peer(SERVE, "ray_serve", {})


def serve_wide() -> Server:
    """Ray Serve with room for more than its default of 5 requests in a replica."""
    return _ray_peer(SERVE_WIDE, "ray_serve", {}, "--max-ongoing-requests", "100")


def serve_fast() -> Server:
    """Ray Serve behind HAProxy, in the throughput-optimised mode; its files and ports moved out of everybody's way."""
    return _ray_peer(SERVE_FAST, "ray_serve", _haproxy_env())


def asyncify() -> Server:
    """FastAPI alone."""
    return Server(ASYNCIFY, ["-m", "benchmarks.peers.asyncify", "--port", "{port}"])


def restarted_actor() -> Server:
    """Ray's own restart."""
    return _ray_peer(RESTARTED, "restarted_actor", {})


THROUGHPUT_PEERS: dict[str, Callable[[], Server]] = {
    "serve": serve,
    "serve-haproxy": serve_fast,
    "asyncify": asyncify,
    "serve-wide": serve_wide,
}
DEFAULT_PEERS = ("serve", "serve-haproxy", "asyncify")


def session_target(server: Server, sessions: int) -> Target:
    """`POST /sessions/{id}/predict` over the sessions in turn, with a key of its own each time."""

    def request(number: int) -> bytes:
        body = orjson.dumps({"inputs": {"question": f"What is {number} + 1?"}})
        path = f"/sessions/bench-{number % sessions}/predict"
        return http_request("POST", "127.0.0.1", path, body, {"Idempotency-Key": f"turn-{number}"})

    return Target("127.0.0.1", server.port, request)


def prediction_target(server: Server) -> Target:
    """`POST /predict`, another question each time, so that no cache can answer."""

    def request(number: int) -> bytes:
        return http_request("POST", "127.0.0.1", "/predict", orjson.dumps({"question": f"What is {number} + 1?"}))

    return Target("127.0.0.1", server.port, request)
