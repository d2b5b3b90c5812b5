"""docs/reliability.md: each promise says how it is tested, how often and with what result, by tests that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
RELIABILITY = (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")
HEADING = "| promise | test | cases | result |"
MAX_CELL_CHARACTERS = 120
TEST_FILES = {path.name: path.read_text(encoding="utf-8") for path in (PROJECT / "tests").rglob("*.py")}
TESTS = {name for text in TEST_FILES.values() for name in re.findall(r"^ *def (test_\w+)", text, flags=re.MULTILINE)}


def promises() -> Iterator[list[str]]:
    for table in RELIABILITY.split(f"{HEADING}\n")[1:]:
        for row in table.partition("\n\n")[0].splitlines()[1:]:
            yield [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("cells", list(promises()), ids=lambda cells: cells[0])
def test_every_promise_has_its_test_its_cases_and_its_result(cells: list[str]) -> None:
    assert len(cells) == HEADING.count("|") - 1
    assert all(cells)
    assert max(map(len, cells)) <= MAX_CELL_CHARACTERS, "a cell is short; evidence stands below"


def test_every_file_that_is_named_is_there() -> None:
    named = re.findall(r"\btests/[\w/]+\.py", RELIABILITY)

    assert named
    assert all((PROJECT / name).is_file() for name in named)


def test_every_test_that_is_named_is_there() -> None:
    named = set(re.findall(r"\btest_\w+", RELIABILITY))

    assert named
    assert {name for name in named if name not in TESTS and f"{name}.py" not in TEST_FILES} == set()
