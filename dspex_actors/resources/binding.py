"""What a session is bound to, and can be bound to anew: program version, model, and how it treats both."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import orjson

from dspex_actors.resources.journal import Entry
from dspex_actors.resources.session import OnBusy, SessionRecord, VersionPolicy

BINDING_KINDS = ("bind", "model")


@dataclass(frozen=True, slots=True)
class Binding:
    """The whole of it: each entry of these kinds has all, so that the last one alone tells."""

    program_uid: str
    program: str
    version: int
    lm: str | None
    on_busy: OnBusy
    version_policy: VersionPolicy

    @classmethod
    def of(cls, record: SessionRecord) -> Binding:
        """What a session is bound to."""
        return cls(record.program_uid, record.program, record.version, record.lm, record.on_busy, record.version_policy)

    def on(self, record: SessionRecord, seq: int) -> SessionRecord:
        """The session bound to it by entry `seq`."""
        return replace(record, **asdict(self), changed=seq)

    def kind(self, before: Binding) -> str:
        """The kind of the entry that says so: `model` where nothing but that is another."""
        return "model" if self == replace(before, lm=self.lm) else "bind"


def binding_of(entry: Entry) -> Binding:
    """What an entry of these kinds says."""
    return Binding(**orjson.loads(entry.delta)["binding"])
