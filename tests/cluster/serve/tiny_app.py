"""The smallest application that `dspex serve` can run: says that it is ready, and answers slowly when asked to."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from ray import serve

from dspex_actors.config import Settings


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """200 for everything; after `?<seconds>` when given."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await asyncio.sleep(float(scope["query_string"] or 0))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def build() -> Any:
    """The ASGI application, made in the replica."""
    return answer


@serve.deployment(ray_actor_options={"num_cpus": 0}, max_ongoing_requests=100)
@serve.ingress(build)
class Tiny:
    """The one deployment."""


app = Tiny.bind()  # type: ignore[attr-defined]


def start_tree(settings: Settings) -> None:
    """Leave a trace of the call."""
    _trace(settings, "start_tree")


def drain(settings: Settings, timeout_s: float) -> None:
    """Leave a trace of the call; with a file `never-drains` in the home, use all the time there is."""
    _trace(settings, "drain")
    if (Path(settings.home) / "never-drains").exists():
        time.sleep(timeout_s)


def stop_tree(settings: Settings) -> None:
    """Leave a trace of the call."""
    _trace(settings, "stop_tree")


def _trace(settings: Settings, call: str) -> None:
    with (Path(settings.home) / "calls").open("a") as file:
        file.write(call + "\n")
