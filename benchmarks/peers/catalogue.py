"""The peers as servers that can be started, and what to send them."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import orjson

from benchmarks.server import Server, free_port
from benchmarks.wire import Target, http_request

SERVE = "Ray Serve + DSPy"
SERVE_FAST = "Ray Serve, HAProxy + throughput mode + DSPy"
ASYNCIFY = "FastAPI + dspy.asyncify"
RESTARTED = "Ray actor, max_restarts=-1"


def _ray_env() -> dict[str, str]:
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
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


def _peer(name: str, module: str, env: dict[str, str], *, folder: bool) -> Server:
    arguments = ["-m", f"benchmarks.peers.{module}", "--port", "{port}"]
    return Server(name, [*arguments, "--folder", "{folder}"] if folder else arguments, env)


def serve() -> Server:
    """Stock Ray Serve."""
    return _peer(SERVE, "ray_serve", _ray_env(), folder=True)


def serve_fast() -> Server:
    """Ray Serve behind HAProxy, in the throughput-optimised mode; its files and ports moved out of everybody's way."""
    return _peer(SERVE_FAST, "ray_serve", {**_ray_env(), **_haproxy_env()}, folder=True)


def asyncify() -> Server:
    """FastAPI alone."""
    return _peer(ASYNCIFY, "asyncify", {}, folder=False)


def restarted_actor() -> Server:
    """Ray's own restart."""
    return _peer(RESTARTED, "restarted_actor", _ray_env(), folder=True)


THROUGHPUT_PEERS: dict[str, Callable[[], Server]] = {
    "serve": serve,
    "serve-haproxy": serve_fast,
    "asyncify": asyncify,
}


def prediction_target(server: Server) -> Target:
    """`POST /predict`, another question each time, so that no cache can answer."""

    def request(number: int) -> bytes:
        return http_request("POST", "127.0.0.1", "/predict", orjson.dumps({"question": f"What is {number} + 1?"}))

    return Target("127.0.0.1", server.port, request)
