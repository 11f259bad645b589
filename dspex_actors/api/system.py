"""What the service says about itself."""

from __future__ import annotations

from dspex_actors.api.asgi import Response, json_response
from dspex_actors.api.call import Call
from dspex_actors.errors import Draining, NoCapacity


async def livez(call: Call) -> Response:
    """The process answers."""
    return json_response({"status": "live"})


async def readyz(call: Call) -> Response:
    """Every part can serve. Raises Draining or NoCapacity (503) naming the parts that cannot."""
    parts = await call.runtime.unready()
    if not parts:
        return json_response({"status": "ready"})
    kind = Draining if "draining" in parts else NoCapacity
    raise kind(f"Not ready: {', '.join(parts)}. Ask again in a moment.")


async def info(call: Call) -> Response:
    """Version, models, and whether the mock engine answers."""
    return json_response(call.runtime.info())


async def tree(call: Call) -> Response:
    """The supervision tree."""
    return json_response(await call.runtime.tree())


async def openapi(call: Call) -> Response:
    """The description of this surface, OpenAPI 3.1."""
    return Response(call.surface.openapi)
