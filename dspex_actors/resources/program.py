"""A program: a signature, the module that runs it, and the module's parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dspex_actors.ids import check_name, rfc3339
from dspex_actors.resources.variables import Variable, check_names


class ProgramSpec(BaseModel):
    """What a user says to create a program.

    `module` is `predict`, `chain_of_thought`, or `python:pkg.mod:Class` for a `dspy.Module` of the user's own (then
    `signature` may be left out: the module brings its own). `params` go to the module's constructor, except
    `history_window` (how many earlier turns a signature with a `dspy.History` field is shown; default 20).
    `variables` are those of every session of the program, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    signature: str | None = None
    module: str = "predict"
    params: dict[str, Any] = Field(default_factory=dict)
    instructions: str | None = None
    lm: str | None = None
    variables: dict[str, Variable] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return check_name(value, "name")

    @field_validator("variables")
    @classmethod
    def _variables(cls, value: dict[str, Variable]) -> dict[str, Variable]:
        return dict(check_names(value))


class ProgramChange(BaseModel):
    """What a user says to make a new version of a program: what is different from the version that is live."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, json_schema_extra={"minProperties": 1})

    signature: str | None = None
    module: str | None = None
    params: dict[str, Any] | None = None
    instructions: str | None = None
    lm: str | None = None
    variables: dict[str, Variable] | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"name what to change: {', '.join(type(self).model_fields)}")
        return self

    def of(self, spec: ProgramSpec) -> ProgramSpec:
        """The changed specification: what is named is replaced, null takes it away."""
        defaults = ProgramSpec(name=spec.name)
        given = {name: getattr(self, name) for name in self.model_fields_set}
        named = {name: getattr(defaults, name) if value is None else value for name, value in given.items()}
        return spec.model_copy(update=named)


class PromoteSpec(BaseModel):
    """Which version of a program is live from now on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: int = Field(ge=1, lt=2**31)


@dataclass(frozen=True, slots=True)
class Program:
    """A stored program: one version of a specification. `live`: new sessions get it; `newest` is the last version."""

    uid: str
    tenant: str
    version: int
    spec: ProgramSpec
    created_at_us: int
    live: bool = True
    newest: int = 1

    @property
    def etag(self) -> str:
        """Changes with every new version and every promotion."""
        return f"{self.version}-{self.newest}"

    def public(self) -> dict[str, Any]:
        """The program as the API shows it."""
        shown = self.spec.model_dump(exclude_none=True, exclude={"variables"})
        shown["variables"] = {name: variable.public() for name, variable in self.spec.variables.items()}
        head = {"id": self.uid, "version": self.version, "live": self.live, "newest": self.newest}
        return {**head, **shown, "created_at": rfc3339(self.created_at_us)}
