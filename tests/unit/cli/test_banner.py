"""What is printed when it is ready."""

from __future__ import annotations

from pathlib import Path

import pytest

from dspex_actors.cli.banner import banner, url_of
from dspex_actors.config import Settings


def shown(settings: Settings) -> str:
    """The banner."""
    return banner(settings, "s/1&2", Path("/data dir/api-key"), Path("/data dir/logs/1"), 9.87)


def test_the_sign_in_address_and_the_curl_line_work_as_they_stand() -> None:
    """The secret is escaped in the address; the curl line reads it from the file, also with a space in its path."""
    text = shown(Settings(port=8001))
    assert "http://127.0.0.1:8001/login?key=s%2F1%262" in text
    line = """curl -H "Authorization: Bearer $(cat '/data dir/api-key')" http://127.0.0.1:8001/v1/tree"""
    assert line in text


@pytest.mark.parametrize(("model", "loud"), [("mock?latency_s=1", True), ("openai/gpt-4o-mini", False)])
def test_the_mock_is_announced_and_a_real_model_is_not(model: str, loud: bool) -> None:
    """Nobody should take its answers for real."""
    assert ("MOCK ENGINE" in shown(Settings(lm=model))) is loud


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000"), ("::1", "http://[::1]:8000")],
)
def test_the_address_is_one_that_a_client_here_can_use(host: str, url: str) -> None:
    """Listening everywhere is no address."""
    assert url_of(Settings(host=host)) == url
