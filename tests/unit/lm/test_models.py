"""Models by name: kept, checked, and careful with the key."""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from types import ModuleType

import pytest
from pydantic import SecretStr

from dspex_actors.errors import InvalidRequest
from dspex_actors.lm.models import Models

KEY = "sk-very-secret"
BASE = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def few_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for litellm, whose import takes seconds."""
    providers = ModuleType("litellm.types.utils")
    vars(providers)["LlmProviders"] = Enum("LlmProviders", {"BEDROCK": "bedrock"})
    for name, module in (("litellm", ModuleType("litellm")), ("litellm.types", ModuleType("litellm.types"))):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "litellm.types.utils", providers)


def with_key(default: str = "openai/gpt-4o-mini") -> Models:
    """Models whose default has an address and a key."""
    return Models(default, BASE, SecretStr(KEY), timeout_s=5)


def test_none_is_the_default_and_each_name_is_built_once() -> None:
    """Also when many threads ask at once."""
    models = Models("mock", None, None)
    with ThreadPoolExecutor(8) as pool:
        built = list(pool.map(models.get, ["mock", None, "mock?fail=0"] * 8))
    assert models.get(None) is models.get("mock")
    assert {id(model) for model in built} == {id(models.get("mock")), id(models.get("mock?fail=0"))}


def test_the_mock_is_told_from_a_real_default() -> None:
    """The banner asks."""
    assert Models("mock?latency_s=1", None, None).is_mock
    assert not with_key().is_mock


def test_only_the_defaults_provider_gets_the_address_and_the_key() -> None:
    """A key is not sent to somebody else's server."""
    models = with_key()
    assert models.get("openai/gpt-4o").kwargs["api_key"] == KEY
    assert models.get("openai/gpt-4o").kwargs["api_base"] == BASE
    for other in ("anthropic/claude-sonnet-4-5", "groq/llama", "openai:gpt-4o"):
        assert {"api_key", "api_base"}.isdisjoint(models.get(other).kwargs)


def test_models_keep_no_cache_and_wait_as_long_as_they_are_told() -> None:
    """A repeated turn asks again."""
    model = with_key().get(None)
    assert (model.cache, model.num_retries, model.kwargs["timeout"]) == (False, 1, 5)


def test_the_key_is_in_no_repr_state_or_shown_name() -> None:
    """Those end up in logs, stores and answers."""
    models = with_key()
    text = f"{models!r} {models.get(None)!r} {json.dumps(models.get(None).dump_state())} {models.shown(f'x/{KEY}')}"
    assert KEY not in text


@pytest.mark.parametrize(
    "name",
    ["", "openai/", "whatever-model", "open ai/x", "openai/x\n", "x" * 300, "mock?speed=1", f"{KEY}/x"],
)
def test_a_bad_name_is_refused_without_the_key_in_the_sentence(name: str) -> None:
    """Bad names fail when a model is built, not at its first call."""
    with pytest.raises(InvalidRequest) as refused:
        with_key().get(name)
    assert KEY not in refused.value.detail
    assert "mock" in refused.value.detail


def test_a_provider_that_nobody_knows_is_refused() -> None:
    """DSPy's own client and litellm know a hundred and more."""
    assert with_key().get("bedrock/some-model").model == "bedrock/some-model"
    with pytest.raises(InvalidRequest, match="No provider is known for the model 'foo/bar'"):
        with_key().get("foo/bar")


@pytest.mark.parametrize("base", ["ftp://host", "host:80", "http://", f"http://user:{KEY}@host/v1", "http://host:x/"])
def test_a_bad_address_is_refused_and_not_repeated(base: str) -> None:
    """It may hold a password."""
    with pytest.raises(InvalidRequest, match="address") as refused:
        Models("openai/gpt-4o-mini", base, None)
    assert KEY not in refused.value.detail


def test_an_address_or_a_key_without_a_model_is_refused() -> None:
    """Otherwise the mock would answer somebody who set up a provider."""
    for base, key in ((BASE, None), (None, SecretStr(KEY))):
        with pytest.raises(InvalidRequest, match="DSPEX_LM"):
            Models("mock", base, key)


def test_a_shown_name_is_one_short_line_without_credentials() -> None:
    """Names come from users."""
    models = with_key()
    assert models.shown(None) == "openai/gpt-4o-mini"
    assert models.shown("http://me:pw@host/x\n" + "y" * 500).startswith("http://***@host/x?yyy")
    assert len(models.shown("y" * 500)) == 120


def test_warm_leaves_the_default_built_and_sends_nothing() -> None:
    """There is nobody at the address."""
    models = with_key()
    models.warm()
    assert models.get(None).kwargs["api_base"] == BASE


def test_litellm_is_told_to_fetch_nothing_when_it_is_imported() -> None:
    """Set before anything imports it."""
    assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
