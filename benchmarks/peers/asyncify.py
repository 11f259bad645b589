"""FastAPI + `dspy.asyncify(dspy.Predict)` under uvicorn: one process, nothing durable, nothing supervised."""

from __future__ import annotations

import argparse
from typing import Any

import dspy  # type: ignore[import-untyped]
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.predictor import predictor
from benchmarks.peers.stdin import call_at_end


class Question(BaseModel):
    """The body of a request."""

    question: str


def application() -> FastAPI:
    """The peer as DSPy's own deployment page has it."""
    app = FastAPI()
    predict = dspy.asyncify(predictor())

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/predict")
    async def answer(body: Question) -> dict[str, Any]:
        prediction = await predict(question=body.question)
        return {"outputs": prediction.toDict()}

    return app


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    config = uvicorn.Config(
        application(),
        host="127.0.0.1",
        port=parser.parse_args().port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
    server = uvicorn.Server(config)
    call_at_end(lambda: setattr(server, "should_exit", True))
    server.run()


if __name__ == "__main__":
    main()
