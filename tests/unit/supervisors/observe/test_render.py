"""Trees as text and as Mermaid."""

from __future__ import annotations

import pytest

from supervisors.errors import BadSpec
from supervisors.render import TreeNode, render


def node(id_: str, *children: TreeNode, **more: object) -> TreeNode:
    """A node of a tree."""
    facts: TreeNode = {"id": id_, "kind": "worker", "status": "ready", "pid": 7, "restarts": 0, "last_exit": None}
    return facts | more | {"children": list(children)}


TREE = node(
    "root",
    node("a", node("b", status="dead", pid=None), node("c", restarts=1, last_exit="crash: boom"), kind="supervisor"),
    node("d", last_exit="killed"),
    kind="supervisor",
)


def test_a_tree_is_drawn_with_each_child_below_its_supervisor() -> None:
    """Nothing is said of what there is nothing to say of."""
    assert render(TREE).splitlines() == [
        "root  supervisor  ready  pid 7",
        "├── a  supervisor  ready  pid 7",
        "│   ├── b  worker  dead",
        "│   └── c  worker  ready  pid 7  1 restart, last exit crash: boom",
        "└── d  worker  ready  pid 7  last exit killed",
    ]


def test_mermaid_has_a_box_for_each_and_an_arrow_to_each_but_the_root() -> None:
    """Numbers name the boxes, because ids may hold anything."""
    lines = render(TREE, "mermaid").splitlines()
    assert lines[0] == "flowchart TD"
    assert sum("-->" in line for line in lines) == 4
    assert '    n2["<b>b</b><br/>worker · dead"]:::dead' in lines


def test_what_mermaid_would_take_for_markup_is_escaped() -> None:
    """An id is somebody's text."""
    (box,) = (line for line in render(node('a"<#'), "mermaid").splitlines() if line.startswith("    n0"))
    assert "<b>a#quot;#lt;#35;</b>" in box


def test_another_format_is_refused_with_those_that_are_known() -> None:
    """By name."""
    with pytest.raises(BadSpec, match="'text', 'mermaid'"):
        render(TREE, "svg")  # type: ignore[arg-type]
