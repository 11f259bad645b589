"""The mock's latency and its failures."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import dspy  # type: ignore[import-untyped]
import pytest
from dspy.lm15 import Message, Request, ServerError  # type: ignore[import-untyped]

from dspex_actors.errors import InvalidRequest
from dspex_actors.lm.mock import AsyncMockEngine, MockEngine
from dspex_actors.lm.settings import MockSettings, is_mock, parse_settings

ASKED = Request(model="mock", messages=(Message.user("one two three"),))


def outcomes(engine: MockEngine, calls: int) -> str:
    """One letter a call: an answer or a failure."""

    def once() -> str:
        try:
            engine.complete(ASKED)
        except ServerError:
            return "f"
        return "a"

    return "".join(once() for _ in range(calls))


def test_settings_are_read_from_the_name() -> None:
    """Without them there is neither latency nor failure."""
    assert parse_settings("mock") == MockSettings(latency_s=0.0, fail=0.0)
    assert parse_settings("mock?latency_s=0.05&fail=0.1") == MockSettings(latency_s=0.05, fail=0.1)


@pytest.mark.parametrize("name", ["mocking", "openai/mock", "mock/gpt", "Mock"])
def test_other_names_are_not_the_mock(name: str) -> None:
    """Only `mock` and `mock?…` are."""
    assert not is_mock(name)


@pytest.mark.parametrize(
    "query",
    [
        "latency=1",
        "fail=2",
        "fail=-0.1",
        "fail=nan",
        "latency_s=inf",
        "latency_s=",
        "fail",
        "fail=0&fail=1",
        "&",
        "a=b=c",
    ],
)
def test_wrong_settings_are_refused_with_the_accepted_ones(query: str) -> None:
    """The sentence says what to write instead."""
    with pytest.raises(InvalidRequest, match=r"latency_s .* and fail"):
        parse_settings(f"mock?{query}")


def test_failures_come_at_about_their_probability_and_always_the_same() -> None:
    """Decided by the request and the number of the call, not by chance."""
    first = outcomes(MockEngine(MockSettings(fail=0.3)), 200)
    assert first == outcomes(MockEngine(MockSettings(fail=0.3)), 200)
    assert 30 < first.count("f") < 90


@pytest.mark.parametrize(("fail", "expected"), [(0.0, "aaaa"), (1.0, "ffff")])
def test_the_ends_of_the_scale_are_never_and_always(fail: float, expected: str) -> None:
    """A probability of 1 leaves no answer."""
    assert outcomes(MockEngine(MockSettings(fail=fail)), 4) == expected


def test_dspy_takes_a_failure_for_one_that_may_pass() -> None:
    """With retries a program answers in spite of failures."""
    engine = MockEngine(MockSettings(fail=1.0))
    model = dspy.LM("mock", engine=engine, async_engine=AsyncMockEngine(engine), cache=False, num_retries=0)
    with pytest.raises(dspy.utils.exceptions.LMServerError) as raised:
        model("hello")
    assert dspy.utils.exceptions.is_retryable_lm_error(raised.value)


def test_sync_calls_take_the_latency_once_and_streams_spread_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream's deltas share the seconds of a completion."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    engine = MockEngine(MockSettings(latency_s=1.0))
    engine.complete(ASKED)
    assert slept == [1.0]
    deltas = sum(event.type == "delta" for event in engine.stream(ASKED))
    assert slept[1:] == [1.0 / deltas] * deltas


def test_async_calls_wait_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow mock blocks nobody else."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def calls() -> list[Any]:
        engine = AsyncMockEngine(MockEngine(MockSettings(latency_s=1.0)))
        await engine.complete(ASKED)
        return [event async for event in engine.stream(ASKED)]

    monkeypatch.setattr(asyncio, "sleep", sleep)
    events = asyncio.run(calls())
    assert slept == [1.0] + [1.0 / (len(events) - 2)] * (len(events) - 2)
