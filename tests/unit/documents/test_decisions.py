"""docs/decisions/: each file can be read alone, is numbered, and is in the index."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "decisions"
INDEX = (FOLDER / "README.md").read_text(encoding="utf-8")
DECISIONS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
MAX_LINES = 40


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_parts_and_is_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    title, status, day = re.findall(r"\A# (\d{4}: .+)\n\n- Status: (.+)\n- Date: (.+)\n", text)[0]
    assert title.startswith(f"{path.name[:4]}: ")
    assert re.fullmatch(r"accepted|replaced by \[\d{4}\]\(.+\)", status)
    assert date.fromisoformat(day)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= MAX_LINES
    assert f"| [{path.name[:4]}]({path.name}) | {title[6:]} | {status} |" in INDEX


def test_numbers_go_up_by_one() -> None:
    numbers = [int(path.name[:4]) for path in DECISIONS]

    assert numbers == list(range(1, len(numbers) + 1))
