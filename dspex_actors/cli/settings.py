"""The settings of a command, and where each of them came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import typer
from pydantic import SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError, TomlConfigSettingsSource

from dspex_actors.config import Settings

# Any: flags are as different as the settings.
Flags = dict[str, Any]

_PASSWORD = re.compile(r"(://[^:/@]*:)[^@]+(?=@)|(password=)[^&]+")


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as it is shown: `source` is `flag`, `variable`, `dspex.toml` or `default`."""

    name: str
    value: object
    source: str


def load(flags: Flags | None = None) -> Settings:
    """The settings: the flags that are given (not None), then variables, `dspex.toml`, defaults.

    Raises:
        typer.BadParameter: One of them cannot be what it is set to; the sentence names each, never a value.
    """
    try:
        return Settings(**_given(flags))
    except ValidationError as error:
        wrong = "; ".join(f"{_where(each['loc'])}: {each['msg']}" for each in error.errors(include_input=False))
        raise typer.BadParameter(f"{wrong}.") from None
    except (SettingsError, ValueError) as error:
        raise typer.BadParameter(f"dspex.toml or a DSPEX_ variable cannot be read: {error}.") from None


def explained(flags: Flags | None = None) -> list[Setting]:
    """Every setting with its source; of a secret only whether it is set. Raises typer.BadParameter as `load` does."""
    settings = load(flags)
    given = {
        "flag": _given(flags),
        "variable": EnvSettingsSource(Settings)(),
        "dspex.toml": TomlConfigSettingsSource(Settings)(),
    }
    return [
        Setting(name, _shown(field.annotation, getattr(settings, name)), _source(name, given))
        for name, field in Settings.model_fields.items()
    ]


def _given(flags: Flags | None) -> Flags:
    return {name: value for name, value in (flags or {}).items() if value is not None}


def _source(name: str, given: dict[str, Flags]) -> str:
    return next((source for source, values in given.items() if name in values), "default")


def _shown(kind: object, value: object) -> object:
    if kind == SecretStr | None:
        return "not set" if value is None else "set"
    if value is None or isinstance(value, bool | int):
        return value
    return _PASSWORD.sub(r"\1\2***", str(value))


def _where(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc)) or "settings"
