"""Ray Serve with a FastAPI ingress that calls `dspy.Predict`: one replica, in the mode that the environment sets."""

from __future__ import annotations

import argparse

import ray
from ray import serve

from benchmarks.peers.deployment import Predictor
from benchmarks.peers.stdin import wait_for_end


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--max-ongoing-requests", type=int, default=None, help="Serve's default where not given")
    options = parser.parse_args()
    ray.init(
        address="local",
        _temp_dir=f"{options.folder}/r",
        include_dashboard=False,
        object_store_memory=100_000_000,
        log_to_driver=False,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": options.port})
    chosen = {"max_ongoing_requests": options.max_ongoing_requests} if options.max_ongoing_requests else {}
    serve.run(Predictor.options(**chosen).bind())  # type: ignore[attr-defined]
    wait_for_end()
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


if __name__ == "__main__":
    main()
