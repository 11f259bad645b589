"""A session's record: who it is and which program it is bound to. Its memory is the journal's business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

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


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session's row. `seq` numbers its journal entries, `turns` its turns; both only rise."""

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
    on_busy: OnBusy = "enqueue"
