"""A program: a signature, the module that runs it, and the module's parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from dspex_actors.ids import check_name, rfc3339


class ProgramSpec(BaseModel):
    """What a user says to create a program.

    `module` is `predict`, `chain_of_thought`, or `python:pkg.mod:Class` for a `dspy.Module` of the user's own (then
    `signature` may be left out: the module brings its own). `params` go to the module's constructor, except
    `history_window` (how many earlier turns a signature with a `dspy.History` field is shown; default 20).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    signature: str | None = None
    module: str = "predict"
    params: dict[str, Any] = Field(default_factory=dict)
    instructions: str | None = None
    lm: str | None = None

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return check_name(value, "name")


@dataclass(frozen=True, slots=True)
class Program:
    """A stored program: one version of a specification."""

    uid: str
    tenant: str
    version: int
    spec: ProgramSpec
    created_at_us: int

    def public(self) -> dict[str, Any]:
        """The program as the API shows it."""
        shown = self.spec.model_dump(exclude_none=True)
        return {"id": self.uid, "version": self.version, **shown, "created_at": rfc3339(self.created_at_us)}
