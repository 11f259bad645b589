"""What a user's module takes: read off its `forward` or `aforward`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

import dspy  # type: ignore[import-untyped]

from dspex_actors.errors import InvalidRequest
from dspex_actors.signatures.checks import Field, FieldChecks

HISTORY = "history"


@dataclass(frozen=True, slots=True)
class Forward:
    """A module's entry point.

    `is_async` says that it is `aforward`; `fields` are its parameters without the conversation, `takes_history` says
    that it has one named `history`, `open_ended` that it takes `**kwargs`.
    """

    name: str
    is_async: bool
    fields: tuple[Field, ...]
    takes_history: bool
    open_ended: bool

    def checks(self) -> FieldChecks:
        """Checks of the inputs by the parameters alone."""
        return FieldChecks(self.fields, history=HISTORY if self.takes_history else None, open_ended=self.open_ended)

    def check_against(self, signature: type[dspy.Signature]) -> None:
        """Nothing, when it can be called with the inputs of `signature`.

        Raises:
            InvalidRequest: The signature has an input that it does not take, or lacks one that it needs.
        """
        given = set(signature.input_fields)
        known = {field.name for field in self.fields} | ({HISTORY} if self.takes_history else set())
        if not self.open_ended and (extra := sorted(given - known)):
            raise invalid(f"the signature's inputs {', '.join(extra)} are not parameters of {self.name}")
        if lacking := [field.name for field in self.fields if field.required and field.name not in given]:
            raise invalid(f"{self.name} needs {', '.join(lacking)}, which the signature does not have")


def forward_of(cls: type[dspy.Module]) -> Forward:
    """The entry point of a module class: the nearest class that defines one decides, `aforward` first.

    A subclass of a DSPy module that overrides only `forward` therefore runs synchronously, in the pool.

    Raises:
        InvalidRequest: None is defined, it is of the wrong kind, or its parameters cannot be passed by name.
    """
    for owner in cls.__mro__:
        for name in ("aforward", "forward"):
            if name in vars(owner) and owner is not dspy.Module:
                return _read(name, getattr(cls, name))
    raise invalid(f"{cls.__name__} defines neither forward nor aforward")


def invalid(problem: str) -> InvalidRequest:
    """The error for a module that cannot be used as a program."""
    msg = f"{problem[0].upper()}{problem[1:]}. Change the module or the specification."
    return InvalidRequest(msg, errors=[{"loc": ["module"], "msg": problem, "type": "module"}])


def _read(name: str, function: Callable[..., Any]) -> Forward:
    is_async = name == "aforward"
    if inspect.iscoroutinefunction(function) is not is_async:
        wanted = "`async def`" if is_async else "a plain `def`; an asynchronous one is called aforward"
        raise invalid(f"{name} must be {wanted}")
    hints = _hints(name, function)
    # The first one is `self`.
    parameters = list(inspect.signature(function).parameters.values())[1:]
    if any(p.kind is p.POSITIONAL_ONLY for p in parameters):
        raise invalid(f"{name} has positional-only parameters, but inputs are passed by name")
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    history = any(p.name == HISTORY and hints.get(p.name, dspy.History) in _CONVERSATION for p in named)
    fields = [p for p in named if not (history and p.name == HISTORY)]
    return Forward(
        name=name,
        is_async=is_async,
        fields=tuple(Field(p.name, hints.get(p.name, Any), p.default is p.empty) for p in fields),
        takes_history=history,
        open_ended=any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


_CONVERSATION = (dspy.History, dspy.History | None)


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except Exception as exc:
        kind = type(exc).__name__
        raise invalid(f"the annotations of {name} cannot be resolved at run time ({kind})") from exc
