"""What holds for every test: reproducible properties, no Ray below tests/cluster, no silent skip in CI."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

CI = os.environ.get("DSPEX_CI") == "1"
# A module's Ray is started by fork while threads of an earlier one's gRPC may hold its locks: without its handlers the
# new process gets to its exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
WITHOUT_RAY = tuple(Path(__file__).parent / layer for layer in ("unit", "protocol"))
REFUSAL = "tests/unit and tests/protocol run without Ray: move this test to tests/cluster"

Report = TypeVar("Report", pytest.CollectReport, pytest.TestReport)

settings.register_profile(
    "dspex", deadline=None, derandomize=CI, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("dspex")


class RayRefused(MetaPathFinder):
    """Refuses the import of Ray while a test that must not need it is collected or runs."""

    active = False

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """No spec for anything, an error for Ray."""
        if self.active and fullname.partition(".")[0] == "ray":
            raise ImportError(REFUSAL)
        return None


refused = RayRefused()
sys.meta_path.insert(0, refused)


def is_without_ray(path: Path) -> bool:
    """Whether the file belongs to a layer that does not know Ray."""
    return any(path.is_relative_to(layer) for layer in WITHOUT_RAY)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Collect the lower layers without Ray; in CI a file skipped for want of something is an error."""
    refused.active = is_without_ray(collector.path)
    try:
        report = yield
    finally:
        refused.active = False
    return failed_if_missing(report)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test skipped for want of something is a failure."""
    return failed_if_missing((yield))


def failed_if_missing(report: Report) -> Report:
    """The report; in CI a failed one if it is a skip whose reason starts with `missing:`."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    if CI and report.skipped and reason.removeprefix("Skipped: ").startswith("missing:"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not accept: {reason}"
    return report


@pytest.fixture(autouse=True)
def _without_ray(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither importing nor starting Ray works in the lower layers, also after tests/cluster has imported it."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(REFUSAL)

    if not is_without_ray(request.path):
        yield
        return
    if ray := sys.modules.get("ray"):
        monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(refused, "active", True)
    yield
