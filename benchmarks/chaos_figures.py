"""What a chaos run measured: availability, errors, and the latency that each kind of fault added."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.chaos_faults import Fault
from benchmarks.chaos_log import Operation, Outcome
from benchmarks.load import Record
from benchmarks.outage import Outage, added_figures, fault_free_median_s, outage_of


@dataclass(frozen=True, slots=True)
class Struck:
    """One fault, the outage that clients felt, and the tries that failed up to the next fault."""

    fault: Fault
    outage: Outage
    failed_tries: int

    def as_json(self) -> dict[str, Any]:
        """What it was, its figures, and every single added latency: figures of several runs can be made of it."""
        added = [round(value, 1) for value in self.outage.added_ms]
        return {**asdict(self.fault), **self.outage.as_json(), "added_ms": added, "failed_tries": self.failed_tries}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Struck:
        """What `as_json` gave, read from a file: there is no infinity there."""
        fault = Fault(*(plain[name] for name in ("kind", "at", "ended", "target", "pids", "session")))
        outage_ms = math.inf if plain["outage_ms"] is None else plain["outage_ms"]
        rest = (plain[name] for name in ("worst_later_ms", "errors", "generator_late_ms"))
        return cls(fault, Outage(outage_ms, tuple(plain["added_ms"]), *rest), plain["failed_tries"])


@dataclass(frozen=True, slots=True)
class Figures:
    """One run.

    Attributes:
        turns: The turns whose clients waited for them.
        available: The share of them that ended well.
        at_first: The share that ended well at the first try, so that nobody saw an error.
        errors: What the tries got that failed, by code.
        unanswered: The turns that never ended well, each with its errors.
        fault_free_ms: The median latency before the first fault.
        struck: Every fault.
    """

    turns: int
    available: float
    at_first: float
    errors: Counter[str]
    unanswered: list[str]
    fault_free_ms: float
    struck: list[Struck]

    def kinds(self) -> dict[str, dict[str, Any]]:
        """The figures of each kind of fault, over all faults of the kind."""
        return kinds_of(self.struck)

    def as_json(self) -> dict[str, Any]:
        """Everything, fault by fault."""
        faults = [each.as_json() for each in self.struck]
        plain = {
            name: getattr(self, name) for name in ("turns", "available", "at_first", "unanswered", "fault_free_ms")
        }
        return {**plain, "errors": dict(self.errors), "kinds": self.kinds(), "faults": faults}


def kinds_of(struck: Iterable[Struck]) -> dict[str, dict[str, Any]]:
    """The figures of each kind of fault, over all faults of the kind."""
    found: dict[str, list[Struck]] = {}
    for each in struck:
        found.setdefault(each.fault.kind, []).append(each)
    return {kind: _of_kind(found[kind]) for kind in sorted(found)}


def figures_of(operations: Sequence[Operation], faults: Sequence[Fault]) -> Figures:
    """The figures of a run.

    Raises:
        ValueError: Nothing was answered before the first fault.
    """
    wanted = sorted((each for each in operations if each.wanted), key=lambda each: each.due)
    good = [each for each in wanted if each.outcome is Outcome.DONE]
    first = min((fault.at for fault in faults), default=math.inf)
    median_s = fault_free_median_s([_record(each) for each in wanted], first)
    ends = [*(fault.at for fault in faults[1:]), math.inf][: len(faults)]
    return Figures(
        turns=len(wanted),
        available=len(good) / len(wanted),
        at_first=sum(not each.errors for each in good) / len(wanted),
        errors=Counter(error for each in wanted for error in each.errors),
        unanswered=[f"{each.key}: {', '.join(each.errors)}" for each in wanted if each.outcome is not Outcome.DONE],
        fault_free_ms=round(median_s * 1e3, 2),
        struck=[_struck(wanted, fault, until, median_s) for fault, until in zip(faults, ends, strict=True)],
    )


def _struck(wanted: Sequence[Operation], fault: Fault, until: float, median_s: float) -> Struck:
    concerned = _concerned(wanted, fault)
    failed = sum(len(each.errors) for each in wanted if fault.at <= each.due < until)
    return Struck(fault, outage_of([_record(each) for each in concerned], fault.at, until, median_s), failed)


def _concerned(wanted: Sequence[Operation], fault: Fault) -> list[Operation]:
    """The turns of the sessions that the fault is about: others, on other hosts, would end the outage too early."""
    if fault.session is not None:
        return [each for each in wanted if each.session == fault.session]
    if not fault.pids:
        return list(wanted)
    last: dict[str, tuple[float, int]] = {}
    for each in wanted:
        if each.answer is not None and each.done is not None and each.done < fault.at:
            last[each.session] = max(last.get(each.session, (0.0, 0)), (each.done, each.answer.process))
    theirs = {session for session, (_, process) in last.items() if process in fault.pids}
    return [each for each in wanted if each.session in theirs] or list(wanted)


def _record(operation: Operation) -> Record:
    done = math.inf if operation.done is None else operation.done
    status = 200 if operation.outcome is Outcome.DONE else 0
    # The time that a turn was asked to take is no latency: it counts as if it were due so much later.
    return Record(operation.due + operation.pause_s, operation.sent + operation.pause_s, done, status, b"")


def _of_kind(struck: Sequence[Struck]) -> dict[str, Any]:
    outages = [each.outage for each in struck]
    added = list(itertools.chain.from_iterable(outage.added_ms for outage in outages))
    lengths = [outage.outage_ms for outage in outages if math.isfinite(outage.outage_ms)] or [math.nan]
    return {
        "faults": len(struck),
        "outage_median_ms": round(statistics.median(lengths), 1),
        "outage_max_ms": round(max(lengths), 1),
        **added_figures(added),
        "worst_later_ms": round(max(outage.worst_later_ms for outage in outages), 1),
        "failed_tries": sum(each.failed_tries for each in struck),
    }
