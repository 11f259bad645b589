"""The Ray Serve deployment; in a module of its own, because Serve imports it in the replica."""

# No postponed annotations here: the replica rebuilds the routes, and FastAPI would find only the names of the types.

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve

from benchmarks.peers.predictor import predictor

app = FastAPI()


class Question(BaseModel):
    """The body of a request."""

    question: str


@serve.deployment
@serve.ingress(app)
class Predictor:
    """One replica."""

    def __init__(self) -> None:
        self._predict = predictor()

    @app.get("/readyz")
    async def ready(self) -> dict[str, str]:
        """A replica answers, so it is ready."""
        return {"status": "ready"}

    @app.post("/predict")
    async def answer(self, body: Question) -> dict[str, Any]:
        """One prediction."""
        prediction = await self._predict.acall(question=body.question)
        return {"outputs": prediction.toDict()}
