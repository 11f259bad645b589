"""A Ray actor with `max_restarts=-1` that holds the sessions in its memory, behind a web front that retries.

What Ray offers by itself for "the process died": it runs the constructor again, and the calls that were lost again.
The sessions start empty: `turn` in an answer tells.
"""

from __future__ import annotations

import argparse
import collections
import os
from typing import Any

import orjson
import ray
import uvicorn
from ray.exceptions import RayActorError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.peers.predictor import predictor
from benchmarks.peers.stdin import call_at_end

RETRIES = 5


@ray.remote(max_restarts=-1, max_task_retries=-1, num_cpus=1)
class Sessions:
    """Every session's turns, in this process's memory alone."""

    def __init__(self) -> None:
        self._predict = predictor()
        self._turns: dict[str, list[str]] = collections.defaultdict(list)

    async def predict(self, session: str, turn_id: str, question: str) -> tuple[int, dict[str, Any]]:
        """Run one turn; its number and outputs."""
        prediction = await self._predict.acall(question=question)
        turns = self._turns[session]
        turns.append(turn_id)
        return len(turns), prediction.toDict()

    async def turns(self, session: str) -> list[str]:
        """The ids of the turns that this process remembers."""
        return self._turns[session]

    async def pid(self) -> int:
        """Whom to kill."""
        return os.getpid()


def application(sessions: Any) -> Starlette:  # a Ray handle has no static type
    """The front."""

    async def predict(request: Request) -> Response:
        session = request.path_params["session"]
        turn_id = request.headers["idempotency-key"]
        question = orjson.loads(await request.body())["inputs"]["question"]
        for attempt in range(1, RETRIES + 1):
            try:
                turn, outputs = await sessions.predict.remote(session, turn_id, question)
                return _json({"session": session, "turn": turn, "turn_id": turn_id, "outputs": outputs})
            except RayActorError:
                if attempt == RETRIES:
                    raise
        raise AssertionError("unreachable")

    async def turns(request: Request) -> Response:
        return _json(await sessions.turns.remote(request.path_params["session"]))

    async def pid(_: Request) -> Response:
        return _json({"pid": await sessions.pid.remote()})

    return Starlette(
        routes=[
            Route("/sessions/{session}/predict", predict, methods=["POST"]),
            Route("/sessions/{session}/turns", turns),
            Route("/readyz", pid),
        ]
    )


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", required=True)
    options = parser.parse_args()
    ray.init(
        address="local",
        _temp_dir=f"{options.folder}/r",
        include_dashboard=False,
        object_store_memory=100_000_000,
        log_to_driver=False,
    )
    app = application(Sessions.remote())  # type: ignore[attr-defined]
    config = uvicorn.Config(
        app, host="127.0.0.1", port=options.port, loop="uvloop", http="httptools", log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)
    call_at_end(lambda: setattr(server, "should_exit", True))
    server.run()
    ray.shutdown()


if __name__ == "__main__":
    main()
