"""The models that programs run with: one `dspy.LM` a name, built once and kept."""

from __future__ import annotations

import os
import threading
from urllib.parse import urlsplit

import dspy  # type: ignore[import-untyped]
from dspy.clients.backend_selection import BackendSelection, select_backend  # type: ignore[import-untyped]
from dspy.lm15 import LM15Error  # type: ignore[import-untyped]
from pydantic import SecretStr

from dspex_actors.errors import InvalidRequest
from dspex_actors.lm.mock import AsyncMockEngine, MockEngine
from dspex_actors.lm.model_name import safe_name
from dspex_actors.lm.settings import is_mock, parse_settings

# litellm fetches its price list at import unless this is set; DSPy imports litellm only when a model needs it.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

NUM_RETRIES = 1
"""How often a call that failed for a passing reason is tried again: after a second, or after what the provider asks."""

_LONGEST_NAME = 200
_NAME_HELP = "Give a DSPy model name such as openai/gpt-4o-mini or anthropic/claude-sonnet-4-5, or mock."


class Models:
    """Builds and keeps the models; the address and the key go to the default model's provider alone.

    Models are shared by all turns: safe to use from many threads and loops. They keep no response cache, so that a
    repeated turn asks again. Neither the key nor the address is in a repr, a state or an error of this class.

    Args:
        default: The model for programs that name none: any DSPy model name, or `mock` with its settings.
        api_base: Base address of the default model's API (http or https, no credentials in it).
        api_key: Key of the default model's API; without it the provider's own variable counts (`OPENAI_API_KEY`, …).
        timeout_s: Longest wait, in seconds, for the next byte of an answer.

    Raises:
        InvalidRequest: The default or the address is not usable, or an address or a key comes with the mock.
    """

    def __init__(self, default: str, api_base: str | None, api_key: SecretStr | None, timeout_s: float = 600) -> None:
        self.default = default
        self.is_mock = is_mock(default)
        self._api_base = _checked_base(api_base)
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._built: dict[str, dspy.LM] = {}
        self._lock = threading.Lock()
        if self.is_mock and (api_base or api_key):
            raise InvalidRequest(
                "An API address or key is set but the model is the mock. Set the model too (DSPEX_LM), or remove them."
            )
        self._check(default)

    def __repr__(self) -> str:
        return f"Models(default={self.shown(None)!r})"

    def get(self, name: str | None) -> dspy.LM:
        """The model of that name, built at the first call; the default where the name is None.

        The first model that DSPy runs through litellm costs seconds of import: call from a thread where a loop waits.

        Raises:
            InvalidRequest: No provider is known for the name, or the mock's settings in it are wrong.
        """
        name = self.default if name is None else name
        found = self._built.get(name)
        if found is not None:
            return found
        self._check(name)
        with self._lock:
            if name not in self._built:
                self._built[name] = _mock(name) if is_mock(name) else self._provider_model(name)
            return self._built[name]

    def shown(self, name: str | None) -> str:
        """The name (the default's where None) as text that is safe to show."""
        text = self.default if name is None else name
        key = self._api_key.get_secret_value() if self._api_key else ""
        return safe_name(text.replace(key, "***") if key else text)

    def warm(self) -> None:
        """Do what the first call would pay for: import DSPy's lazy parts, build the default model, look up its limits.

        Sends nothing to a provider.
        """
        engine = MockEngine()
        rehearsal = dspy.LM("mock", engine=engine, async_engine=AsyncMockEngine(engine), cache=False, num_retries=0)
        with dspy.context(lm=rehearsal, adapter=dspy.ChatAdapter(), disable_history=True, trace=None):
            dspy.Predict("question -> answer")(question="warm")
        # Reading one capability makes DSPy load its model catalog and, where the model needs it, litellm.
        _ = self.get(None).supports_function_calling

    def _check(self, name: str) -> None:
        if is_mock(name):
            parse_settings(name)
        elif not name or len(name) > _LONGEST_NAME or not name.isprintable() or any(c.isspace() for c in name):
            raise InvalidRequest(f"{self.shown(name)!r} is not a model name. {_NAME_HELP}")

    def _provider_model(self, name: str) -> dspy.LM:
        options: dict[str, object] = {"timeout": self._timeout_s}
        selection = self._selection(name)
        if self._provider(name, selection) == self._provider(self.default, self._selection(self.default)):
            if self._api_base is not None:
                options["api_base"] = self._api_base
            if self._api_key is not None:
                options["api_key"] = self._api_key.get_secret_value()
        return dspy.LM(name, cache=False, num_retries=NUM_RETRIES, **options)

    def _selection(self, name: str) -> BackendSelection | None:
        if is_mock(name):
            return None
        try:
            selection = select_backend(dspy.LM(name, cache=False))
        except (ValueError, TypeError, LM15Error) as exc:
            raise InvalidRequest(f"{self.shown(name)!r} is not a model name. {_NAME_HELP}") from exc
        if selection.resolution is None and not _litellm_knows(name):
            raise InvalidRequest(f"No provider is known for the model {self.shown(name)!r}. {_NAME_HELP}")
        return selection

    @staticmethod
    def _provider(name: str, selection: BackendSelection | None) -> str:
        if selection is not None and selection.resolution is not None:
            return str(selection.resolution.provider)
        return name.partition("?")[0] if is_mock(name) else name.partition("/")[0]


def _mock(name: str) -> dspy.LM:
    engine = MockEngine(parse_settings(name))
    return dspy.LM(name, engine=engine, async_engine=AsyncMockEngine(engine), cache=False, num_retries=0)


def _litellm_knows(name: str) -> bool:
    prefix, slash, _ = name.partition("/")
    if not slash:
        return False
    from litellm.types.utils import LlmProviders

    return prefix in {provider.value for provider in LlmProviders}


def _checked_base(api_base: str | None) -> str | None:
    if api_base is None:
        return None
    try:
        parts = urlsplit(api_base)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or "@" in parts.netloc:
        raise InvalidRequest(
            "The model's API address is not usable. Give http:// or https://, a host and the path, "
            "without a user name or a password in it; the key has a setting of its own (DSPEX_LM_API_KEY)."
        )
    return api_base
