"""A tree for people: as text for a terminal, as Mermaid for a page. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, Literal

from supervisors.errors import BadSpec

TreeNode = dict[str, Any]
Format = Literal["text", "mermaid"]
FORMATS = ("text", "mermaid")
_MERMAID_CLASSES = {
    "ready": "fill:#dcfce7,stroke:#15803d,color:#14532d",
    "starting": "fill:#fef9c3,stroke:#a16207,color:#713f12",
    "draining": "fill:#e0e7ff,stroke:#4338ca,color:#312e81",
    "dead": "fill:#fee2e2,stroke:#b91c1c,color:#7f1d1d",
}


def render(tree: TreeNode, as_: Format = "text") -> str:
    """Draw what `Supervisor.tree()` gave.

    Args:
        tree: The root's node.
        as_: `text` (box-drawing characters, one line a process) or `mermaid` (a flowchart's source).

    Raises:
        BadSpec: Another format.

    >>> leaf = {"id": "a", "kind": "worker", "status": "ready", "pid": 7, "restarts": 2, "last_exit": "killed"}
    >>> print(render({"id": "top", "kind": "supervisor", "status": "ready", "pid": 1, "children": [leaf]}))
    top  supervisor  ready  pid 1
    └── a  worker  ready  pid 7  2 restarts, last exit killed
    """
    if as_ not in FORMATS:
        raise BadSpec(f"as_={as_!r} is not known; accepted: {', '.join(map(repr, FORMATS))}.")
    return "\n".join(_text(tree) if as_ == "text" else _mermaid(tree))


def _text(node: TreeNode, lead: str = "", below: str = "") -> Iterator[str]:
    yield lead + "  ".join(_facts(node))
    children = node.get("children", [])
    for number, child in enumerate(children, start=1):
        last = number == len(children)
        yield from _text(child, below + ("└── " if last else "├── "), below + ("    " if last else "│   "))


def _facts(node: TreeNode) -> Iterator[str]:
    yield str(node["id"])
    yield str(node["kind"])
    yield str(node["status"])
    if node.get("pid") is not None:
        yield f"pid {node['pid']}"
    if history := _history(node):
        yield history


def _history(node: TreeNode) -> str:
    restarts, last = node.get("restarts") or 0, node.get("last_exit")
    said = [f"{restarts} restart{'s' if restarts > 1 else ''}"] if restarts else []
    return ", ".join([*said, f"last exit {last}"] if last else said)


def _mermaid(tree: TreeNode) -> Iterator[str]:
    yield "flowchart TD"
    yield from _box(tree, None, count())
    for status, style in _MERMAID_CLASSES.items():
        yield f"    classDef {status} {style}"


def _box(node: TreeNode, parent: str | None, numbers: Iterator[int]) -> Iterator[str]:
    name = f"n{next(numbers)}"
    _, *facts = _facts(node)
    label = "<br/>".join((f"<b>{_escaped(str(node['id']))}</b>", _escaped(" · ".join(facts))))
    style = f":::{node['status']}" if node["status"] in _MERMAID_CLASSES else ""
    yield f'    {name}["{label}"]{style}'
    if parent is not None:
        yield f"    {parent} --> {name}"
    for child in node.get("children", []):
        yield from _box(child, name, numbers)


def _escaped(text: str) -> str:
    """What Mermaid would take for markup, as its entities."""
    for sign, entity in (("#", "#35;"), ("&", "#38;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(sign, entity)
    return text
