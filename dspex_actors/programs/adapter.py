"""DSPy's chat adapter, which writes what it wrote before only once.

DSPy builds the system message, the signature without its history and a pydantic adapter for every value anew at each
call, once more for each turn of a history. This overrides the public formatting hooks to remember or shorten
them; every message is the same, to the character, as `dspy.ChatAdapter` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import dspy  # type: ignore[import-untyped]

Message = dict[str, Any]
Signature = type[dspy.Signature]

_CUSTOM_TYPE = "<<CUSTOM-TYPE-START-IDENTIFIER>>"


@dataclass(slots=True)
class _Known:
    """What is written for a signature as long as its `marks` stay: instructions and descriptions can be assigned."""

    marks: tuple[Any, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    history: str | None
    system: str | None = None
    requirements: str | None = None
    bare: Signature | None = None


# The name stays DSPy's: its stream listeners choose by it.
class ChatAdapter(dspy.ChatAdapter):  # type: ignore[misc]
    """Writes the same messages as `dspy.ChatAdapter`, faster; one instance serves all threads and turns."""

    def __init__(self) -> None:
        super().__init__()
        self._known: WeakKeyDictionary[Signature, _Known] = WeakKeyDictionary()

    def format(self, signature: Signature, demos: list[Message], inputs: Message) -> list[Message]:
        """All messages of a call: DSPy's hook."""
        known = self._about(signature)
        if known.history is None or known.history not in inputs:
            return self._format(signature, demos, inputs)
        if known.bare is None:
            known.bare = signature.delete(known.history)
        past = self.format_conversation_history(known.bare, known.history, dict(inputs))
        if any(_CUSTOM_TYPE in (message.get("content") or "") for message in past):
            return self._format(signature, demos, inputs)
        present = {name: value for name, value in inputs.items() if name != known.history}
        messages = self._format(known.bare, demos, present)
        system = {"role": "system", "content": self.format_system_message(signature)}
        return [system, *messages[1:-1], *past, messages[-1]]

    def format_system_message(self, signature: Signature) -> str:
        """The system message: DSPy's hook."""
        known = self._about(signature)
        if known.system is None:
            known.system = super().format_system_message(signature)
        return known.system

    def user_message_output_requirements(self, signature: Signature) -> str:
        """The reminder at the end of a user message: DSPy's hook."""
        known = self._about(signature)
        if known.requirements is None:
            known.requirements = super().user_message_output_requirements(signature)
        return known.requirements

    def format_user_message_content(
        self, signature: Signature, inputs: Message, prefix: str = "", suffix: str = "", main_request: bool = False
    ) -> str:
        """One user message: DSPy's hook."""
        names = [name for name in self._about(signature).inputs if name in inputs]
        if not all(type(inputs[name]) is str for name in names):
            text: str = super().format_user_message_content(signature, inputs, prefix, suffix, main_request)
            return text
        reminder = [self.user_message_output_requirements(signature)] if main_request else []
        return "\n\n".join([prefix, *(_section(name, inputs[name]) for name in names), *reminder, suffix]).strip()

    def format_assistant_message_content(
        self, signature: Signature, outputs: Message, missing_field_message: str | None = None
    ) -> str:
        """One answer of the past: DSPy's hook."""
        names = self._about(signature).outputs
        if not all(type(outputs.get(name)) is str for name in names):
            text: str = super().format_assistant_message_content(signature, outputs, missing_field_message)
            return text
        return "\n\n".join(_section(name, outputs[name]) for name in names).strip() + "\n\n[[ ## completed ## ]]\n"

    def _format(self, signature: Signature, demos: list[Message], inputs: Message) -> list[Message]:
        messages: list[Message] = super().format(signature, demos, inputs)
        return messages

    def _about(self, signature: Signature) -> _Known:
        fields = signature.model_fields.values()
        marks = (signature.__doc__, *((info.annotation, info.json_schema_extra["desc"]) for info in fields))
        known = self._known.get(signature)
        if known is None or known.marks != marks:
            history = [name for name, info in signature.input_fields.items() if info.annotation == dspy.History]
            known = _Known(
                marks, (*signature.input_fields,), (*signature.output_fields,), history[0] if history else None
            )
            self._known[signature] = known
        return known


def _section(name: str, value: str) -> str:
    return f"[[ ## {name} ## ]]\n{value}"
