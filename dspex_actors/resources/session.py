"""A session's record: who it is and which program it is bound to. Its memory is the journal's business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from dspex_actors.ids import check_name
from dspex_actors.resources.variables import Own, Variable, check_names

OnBusy = Literal["enqueue", "reject", "interrupt"]
"""What becomes of a turn that arrives while another one of its session runs or waits."""
VersionPolicy = Literal["pin", "follow", "follow_when_idle"]
"""Which version of its program a session runs: the one that it has; the live one, from the next turn on; or the live
one, as soon as the session has left a host's memory and comes back."""


Isolation = Literal["shared", "dedicated"]
"""Whether a session shares a host's process with others, or has a host of its own."""


class SessionLimits(BaseModel):
    """What the host of a dedicated session may take. None is what the server's settings say.

    `memory_mb`: megabytes beyond those that the host had before the session came. `cpus`: processors, 0.5 is half of
    one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    memory_mb: int | None = Field(default=None, ge=16, le=2**31 - 1)
    cpus: float | None = Field(default=None, ge=0.1, le=1024)


class SessionSpec(BaseModel):
    """What a user says to create a session. `program` is a name or `name@version`; `lm` a model's name.

    `on_busy`: a turn that arrives while another one runs or waits `enqueue`s (waits for it), is `reject`ed, or
    `interrupt`s (cancels) those before it. `version_policy`: whether the session stays with the version that it begins
    with (`pin`). `variables` are first values of the program's variables, `declare` has declarations of more.
    `isolation`: one that is `dedicated` has a host of its own, which may take what `limits` says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    program: str
    id: str | None = None
    lm: str | None = None
    on_busy: OnBusy = "enqueue"
    version_policy: VersionPolicy = "pin"
    variables: dict[str, Any] = Field(default_factory=dict)
    declare: dict[str, Variable] = Field(default_factory=dict)
    isolation: Isolation = "shared"
    limits: SessionLimits = Field(default_factory=SessionLimits)

    @field_validator("id")
    @classmethod
    def _id(cls, value: str | None) -> str | None:
        return value if value is None else check_name(value, "id")

    @field_validator("limits")
    @classmethod
    def _limits(cls, value: SessionLimits, info: ValidationInfo) -> SessionLimits:
        if value != SessionLimits() and info.data.get("isolation") == "shared":
            raise ValueError(
                'only a session with isolation "dedicated" has limits of its own: add it, or leave limits out'
            )
        return value

    @field_validator("declare")
    @classmethod
    def _declare(cls, value: dict[str, Variable]) -> dict[str, Variable]:
        return dict(check_names(value))


class SessionChange(BaseModel):
    """What a user says to change a session: what is different. `program` is `name@version`, or `name` for the live one;
    the name stays. A null `lm` takes the program's."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, json_schema_extra={"minProperties": 1})

    program: str | None = None
    lm: str | None = None
    on_busy: OnBusy | None = None
    version_policy: VersionPolicy | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"name what to change: {', '.join(type(self).model_fields)}")
        return self

    def asked(self) -> dict[str, Any]:
        """What is named, and not null where null means nothing."""
        return {name: value for name, value in self.model_dump(exclude_unset=True).items() if value or name == "lm"}


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
    the conversation stood at. `variables` is what it was created with of these, as text; `changed` numbers the last
    entry that changed what it is bound to (0: none). One that is `dedicated` has a host of its own, with limits of
    `memory_mb` and `cpus`.

    Entries up to `removed_seq`, and turns up to `removed_turns`, have been removed by retention: nobody is shown them
    any more. What they said has been wiped out up to `swept_seq`.
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
    version_policy: VersionPolicy = "pin"
    variables: str | None = None
    changed: int = 0
    isolation: Isolation = "shared"
    memory_mb: int | None = None
    cpus: float | None = None
    removed_seq: int = 0
    removed_turns: int = 0
    swept_seq: int = 0

    @property
    def is_dedicated(self) -> bool:
        """Whether it has a host of its own."""
        return self.isolation == "dedicated"

    @property
    def own(self) -> Own:
        """What it was created with of variables."""
        return Own.parse(self.variables)


@dataclass(frozen=True, slots=True)
class Guest:
    """A dedicated session, as placement has to know it: whom its host is for, and what that may take."""

    uid: str
    id: str
    memory_mb: int | None = None
    cpus: float | None = None
