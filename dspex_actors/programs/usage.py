"""Tokens and calls of one turn."""

from __future__ import annotations

from typing import Any

from dspy.utils.usage_tracker import UsageTracker  # type: ignore[import-untyped]


class TurnUsage(UsageTracker):  # type: ignore[misc]
    """Collects what the models report during one turn; each turn has its own, so turns never mix.

    A call answered from a cache costs nothing and is not counted; one whose engine reports no tokens counts as a call.
    """

    def add_usage(self, lm: str, usage_entry: dict[str, Any]) -> None:
        """DSPy's hook: one finished call of the model named `lm`."""
        self.usage_data[lm].append(dict(usage_entry))

    def total(self) -> dict[str, int]:
        """`calls`, `prompt_tokens`, `completion_tokens` and `total_tokens`, summed over models and calls."""
        entries = [entry for calls in self.usage_data.values() for entry in calls]
        prompt = sum(entry.get("prompt_tokens") or 0 for entry in entries)
        completion = sum(entry.get("completion_tokens") or 0 for entry in entries)
        total = sum(entry.get("total_tokens") or _sum(entry) for entry in entries)
        return {
            "calls": len(entries),
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": total,
        }


def _sum(entry: dict[str, Any]) -> int:
    return (entry.get("prompt_tokens") or 0) + (entry.get("completion_tokens") or 0)
