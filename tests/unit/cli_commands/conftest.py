"""No setting of this machine reaches a test of the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from dspex_actors.config import Settings


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DSPEX_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
