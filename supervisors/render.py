"""A tree for people: as text for a terminal, as Mermaid for a page. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def render(tree: TreeNode, as_: Format = "text", also: Sequence[str] = ()) -> str:
    """Draw what `Supervisor.tree()` gave.

    Args:
        tree: The root's node.
        as_: `text` (box-drawing characters, one line a process) or `mermaid` (a flowchart's source).
        also: What else to say of a node that has it, such as `node`, `uptime_s` or `queue`.

    Raises:
        BadSpec: Another format.

    >>> leaf = {"id": "a", "kind": "worker", "status": "ready", "pid": 7, "restarts": 2, "last_exit": "killed"}
    >>> print(render({"id": "top", "kind": "supervisor", "status": "ready", "pid": 1, "children": [leaf]}))
    top  supervisor  ready  pid 1
    └── a  worker  ready  pid 7  2 restarts, last exit killed
    """
    if as_ not in FORMATS:
        raise BadSpec(f"as_={as_!r} is not known; accepted: {', '.join(map(repr, FORMATS))}.")
    return "\n".join(_text(tree, also) if as_ == "text" else _mermaid(tree, also))


def _text(node: TreeNode, also: Sequence[str], lead: str = "", below: str = "") -> Iterator[str]:
    yield lead + "  ".join(_facts(node, also))
    children = node.get("children", [])
    for number, child in enumerate(children, start=1):
        last = number == len(children)
        yield from _text(child, also, below + ("└── " if last else "├── "), below + ("    " if last else "│   "))


def _facts(node: TreeNode, also: Sequence[str]) -> Iterator[str]:
    yield str(node["id"])
    yield str(node["kind"])
    yield str(node["status"])
    if node.get("pid") is not None:
        yield f"pid {node['pid']}"
    if history := _history(node):
        yield history
    yield from (f"{name} {node[name]}" for name in also if node.get(name) is not None)


def _history(node: TreeNode) -> str:
    restarts, last = node.get("restarts") or 0, node.get("last_exit")
    said = [f"{restarts} restart{'s' if restarts > 1 else ''}"] if restarts else []
    return ", ".join([*said, f"last exit {last}"] if last else said)


def _mermaid(tree: TreeNode, also: Sequence[str]) -> Iterator[str]:
    yield "flowchart TD"
    yield from _box(tree, also, None, count())
    for status, style in _MERMAID_CLASSES.items():
        yield f"    classDef {status} {style}"


def _box(node: TreeNode, also: Sequence[str], parent: str | None, numbers: Iterator[int]) -> Iterator[str]:
    name = f"n{next(numbers)}"
    _, *facts = _facts(node, also)
    label = "<br/>".join((f"<b>{_escaped(str(node['id']))}</b>", _escaped(" · ".join(facts))))
    style = f":::{node['status']}" if node["status"] in _MERMAID_CLASSES else ""
    yield f'    {name}["{label}"]{style}'
    if parent is not None:
        yield f"    {parent} --> {name}"
    for child in node.get("children", []):
        yield from _box(child, also, name, numbers)


def _escaped(text: str) -> str:
    """What Mermaid would take for markup, as its entities."""
    for sign, entity in (("#", "#35;"), ("&", "#38;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(sign, entity)
    return text
