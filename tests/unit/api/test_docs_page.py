"""The documentation page loads nothing from anywhere else."""

from __future__ import annotations

import base64
import hashlib
import re

from dspex_actors.api.docs_page import PAGE, POLICY

TEXT = PAGE.decode()


def test_the_page_names_no_other_place() -> None:
    """No address, no source, no style sheet, no import."""
    assert re.findall(r"https?:|//\w|src=|href=|@import|url\(|\bimport\b", TEXT) == []


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else() -> None:
    """By their digests: a script put into the page later would not run."""
    [script] = re.findall(r"<script>(.*?)</script>", TEXT, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in POLICY
    assert POLICY.startswith("default-src 'none';")
    assert "unsafe" not in POLICY


def test_the_page_puts_no_text_into_its_markup() -> None:
    """Names that users chose stay text."""
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", TEXT) == []
