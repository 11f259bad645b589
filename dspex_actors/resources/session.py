"""A session's record: who it is and which program it is bound to. Its memory is the journal's business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from dspex_actors.ids import check_name

OnBusy = Literal["enqueue", "reject", "interrupt"]
"""What becomes of a turn that arrives while another one of its session runs or waits."""


class SessionSpec(BaseModel):
    """What a user says to create a session. `program` is a name or `name@version`; `lm` a model's name.

    `on_busy`: a turn that arrives while another one runs or waits `enqueue`s (waits for it), is `reject`ed, or
    `interrupt`s (cancels) those before it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    program: str
    id: str | None = None
    lm: str | None = None
    on_busy: OnBusy = "enqueue"

    @field_validator("id")
    @classmethod
    def _id(cls, value: str | None) -> str | None:
        return value if value is None else check_name(value, "id")


class ForkSpec(BaseModel):
    """What a user says to fork a session. `at_turn` is the turn to fork at, the present one by default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    at_turn: int | None = Field(default=None, ge=0, lt=2**63)
    id: str | None = None

    @field_validator("id")
    @classmethod
    def _id(cls, value: str | None) -> str | None:
        return value if value is None else check_name(value, "id")


class RewindSpec(BaseModel):
    """What a user says to rewind a session: the turn to go to, 0 for the beginning."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    to_turn: int = Field(ge=0, lt=2**63)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session's row. `seq` numbers its journal entries, `turns` its turns; both only rise.

    A fork knows where it comes from: `origin_id` is the other session's id as it was then, `origin_turn` the turn that
    the conversation stood at.
    """

    uid: str
    tenant: str
    id: str
    program_uid: str
    program: str
    version: int
    lm: str | None
    shard: int
    unit: str
    seq: int
    turns: int
    created_at_us: int
    origin_id: str | None = None
    origin_turn: int | None = None
    on_busy: OnBusy = "enqueue"
