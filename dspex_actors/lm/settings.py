"""The mock's settings, written in the model's name: `mock?latency_s=0.05&fail=0.1`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from urllib.parse import parse_qsl

from dspex_actors.errors import InvalidRequest

ACCEPTED = {"latency_s": (0.0, 3600.0), "fail": (0.0, 1.0)}
_HELP = "The mock takes latency_s (0 to 3600 seconds) and fail (0 to 1), as in mock?latency_s=0.05&fail=0.1."


@dataclass(frozen=True, slots=True)
class MockSettings:
    """How the mock behaves.

    Args:
        latency_s: Seconds that a completion takes; a stream spreads them over its deltas.
        fail: Probability, 0 to 1, that a call ends in a provider error.
    """

    latency_s: float = 0.0
    fail: float = 0.0


def is_mock(name: str) -> bool:
    """Whether a model's name asks for the mock, with or without settings."""
    return name == "mock" or name.startswith("mock?")


def parse_settings(name: str) -> MockSettings:
    """The settings in a mock's name.

    Raises:
        InvalidRequest: A setting is unknown, given twice, or not a number in its range.

    Example:
        >>> parse_settings("mock?latency_s=0.05")
        MockSettings(latency_s=0.05, fail=0.0)
    """
    query = name.partition("?")[2]
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=8) if query else []
    except ValueError as exc:
        raise InvalidRequest(f"The mock's settings are not a list of name=value. {_HELP}") from exc
    values: dict[str, float] = {}
    for key, text in pairs:
        if key in values:
            raise InvalidRequest(f"The mock's setting {key} is given twice. {_HELP}")
        values[key] = _number(key, text)
    return MockSettings(**values)


def _number(key: str, text: str) -> float:
    if key not in ACCEPTED:
        raise InvalidRequest(f"The mock has no setting {key[:40]!r}. {_HELP}")
    low, high = ACCEPTED[key]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InvalidRequest(f"The mock's setting {key} is {text[:40]!r}, which is not a number in its range. {_HELP}")
    return value
