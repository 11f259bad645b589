"""Composition root: settings -> store -> tree -> API -> Serve. Importing it has no effects.

`dspex serve` runs it on a private Ray, `serve run serve_app:app` on one that runs already.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ray import serve

from dspex_actors.api.app import create_app
from dspex_actors.cli.first_key import provide_admin_key
from dspex_actors.clock import SystemClock
from dspex_actors.config import Settings
from dspex_actors.sessions.keep import keep_what_is_here
from dspex_actors.sessions.ray_nodes import node_id, per_node, ray_options, refuse_elsewhere
from dspex_actors.sessions.ray_operations import RayOperations
from dspex_actors.sessions.ray_seek import follow_table
from dspex_actors.sessions.router import Router
from dspex_actors.sessions.runtime import SessionRuntime
from dspex_actors.sessions.sweeper import sweeps
from dspex_actors.sessions.tree import drain_hosts, ensure_tree
from dspex_actors.sessions.tree import stop_tree as _stop_tree
from dspex_actors.store.opening import open_store

API_CPUS = 0.5
ONGOING_LIMIT = 10_000
"""Requests that a replica works on at a time: turns wait for models, and mailboxes are what is bounded."""


@serve.deployment(
    name="api",
    max_ongoing_requests=ONGOING_LIMIT,
    graceful_shutdown_timeout_s=5,
    health_check_period_s=5,
    # No access log: it would hold the key of /login?key=…, and cost each request a line.
    logging_config={"enable_access_log": False, "log_level": "WARNING"},
)
@serve.ingress()
class Api:
    """One API replica: the ASGI application over a router that follows placement's table."""

    async def __init__(self, plain: dict[str, Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        settings = Settings(**plain)
        tree = asyncio.ensure_future(ensure_tree(settings))
        store, models, programs, sweeper = await asyncio.to_thread(_open, settings)
        router = Router(store.store_id, store.stream_key, node_id())
        self._following = asyncio.ensure_future(follow_table(router.update))
        self._runtime = SessionRuntime(store, router, programs, models, RayOperations(), sweeper)
        await tree
        keep_what_is_here()

    def __serve_build_asgi_app__(self) -> Any:  # the name that Serve calls
        """What Serve serves."""
        return create_app(self._runtime)


def _open(settings: Settings) -> tuple[Any, Any, Any, Any]:
    """Store, models, programs, and who applies retention: seconds of imports, off the loop."""
    from dspex_actors.lm.models import Models
    from dspex_actors.programs.catalogue import Programs

    refuse_elsewhere(settings)
    models = Models(settings.lm, settings.lm_api_base, settings.lm_api_key)
    store = open_store(settings.database_url)
    provide_admin_key(settings, store, SystemClock())
    return store, models, (programs := Programs(models, settings.packages)), sweeps(settings, store, programs)


def build(settings: Settings) -> serve.Application:
    """The Serve application for these settings."""
    replicas = {"num_replicas": settings.replicas, "max_replicas_per_node": per_node(settings.replicas, API_CPUS)}
    return Api.options(**replicas, ray_actor_options=ray_options(settings, API_CPUS)).bind(settings.plain())  # type: ignore[attr-defined, no-any-return]


def __getattr__(name: str) -> Any:
    """`app`, made from the environment when somebody asks for it."""
    if name == "app":
        return build(Settings())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def start_tree(settings: Settings) -> None:
    """Start the supervision tree in the connected Ray; nothing if it runs."""
    asyncio.run(ensure_tree(settings))


def drain(settings: Settings, timeout_s: float) -> None:
    """Refuse new turns and wait for those that run, at most `timeout_s` seconds."""
    asyncio.run(drain_hosts(timeout_s))


def stop_tree(settings: Settings) -> None:
    """Stop the supervision tree: hosts write what is queued, then end."""
    asyncio.run(_stop_tree())
