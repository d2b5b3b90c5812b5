"""docs/costs.md: what is between two marks of a name is written by the programs that measured it."""

from __future__ import annotations

import re

from tests.bench.recordings import PROJECT

DOCUMENT = PROJECT / "docs" / "costs.md"


def put(name: str, text: str) -> None:
    """Put ``text`` between the marks of ``name``."""
    whole = DOCUMENT.read_text(encoding="utf-8")
    assert between_marks(name) is not None, name
    DOCUMENT.write_text(_marked(name).sub(lambda match: f"{match[1]}\n{text}\n{match[3]}", whole), encoding="utf-8")


def between_marks(name: str) -> str | None:
    """What is there now; ``None`` without marks."""
    match = _marked(name).search(DOCUMENT.read_text(encoding="utf-8"))
    return match[2][1:-1] if match else None


def _marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- end -->)", re.DOTALL)
