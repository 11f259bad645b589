"""What every process of an instance finds in its environment. Set before Ray is imported: it reads its own then."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from dspex_actors.cli.haproxy import haproxy_environment
from dspex_actors.cli.ports import REPLICA_PORTS, free_block
from dspex_actors.cli.sweep import MARKER
from dspex_actors.config import Settings
from dspex_actors.home import Home, Instance, write_private


def instance_environment(settings: Settings, home: Home, instance: Instance) -> dict[str, str]:
    """The variables of this start: the marker, the settings, and those of Ray, Serve and HAProxy."""
    first = free_block(REPLICA_PORTS + 1, seed=instance.id)
    return {
        MARKER: instance.marker,
        **_settings(settings),
        **_ray(home),
        **_serve(first),
        **haproxy_environment(settings.run_dir, threads=min(4, os.cpu_count() or 1)),
    }


def _settings(settings: Settings) -> dict[str, str]:
    values = {name: str(value) for name, value in settings.plain().items() if value is not None}
    if settings.lm_api_key is not None:
        values["lm_api_key"] = settings.lm_api_key.get_secret_value()
    if settings.store_secret is not None:
        values["store_password"] = settings.store_secret
    return {f"DSPEX_{name.upper()}": value for name, value in values.items()}


def _ray(home: Home) -> dict[str, str]:
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(_fresh_token(home.path)),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the switch by which Ray stays on loopback
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # Ray's own choice is 15: everybody else on the machine would come first
        "SPT_NOENV": "1",  # a process that sets its title must not overwrite the marker
    }


def _fresh_token(home: Path) -> Path:
    file = home / "ray-token"
    write_private(file, secrets.token_hex(32))
    return file


def _serve(first_port: int) -> dict[str, str]:
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(first_port),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first_port + 1),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first_port + REPLICA_PORTS),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",  # no balancer but HAProxy, which retries elsewhere
    }


def adopt(environment: dict[str, str]) -> None:
    """Put the variables into this process's environment, for it and all that it starts; take the admin key out."""
    os.environ.update(environment)
    os.environ.pop("DSPEX_API_KEY", None)
