"""One served instance for the tests that do not break it for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.sessions.instance import Instance

QA = {"name": "qa", "signature": "question: str, history: dspy.History -> answer: str"}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A ready instance with the program `qa`, stopped in the end."""
    folder: Path = tmp_path_factory.mktemp("instance")
    served = Instance(folder / "home")
    served.start()
    try:
        assert served.call("POST", "/v1/programs", QA)[0] == 201
        yield served
    finally:
        served.stop()
