"""README.md and its neighbours: commands that parse, targets and links that exist, sums that are right."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
DOCUMENTS = {
    str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8")
    for path in (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
}
README = DOCUMENTS["README.md"]
SHELL_BLOCKS = [
    pytest.param(block, id=f"{name}-{number}")
    for name, text in DOCUMENTS.items()
    for number, block in enumerate(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
]
MAKE_COMMANDS = sorted(
    {
        re.split(r"\s{2,}#|\s#|\s&&|`", command)[0].strip()
        for text in DOCUMENTS.values()
        for command in re.findall(r"(?:^|`|&& )(make(?: [^`\n]*)?)", text, re.MULTILINE)
    }
)
UNITS = {"": 1.0, "a million": 1e-6, "a GB": 1.0, "a GB-second": 1.0, "a GB-month": 1.0}


@pytest.mark.parametrize("block", SHELL_BLOCKS)
def test_every_block_of_commands_is_bash(block: str) -> None:
    done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", MAKE_COMMANDS)
def test_make_knows_every_target(command: str) -> None:
    words = command.split()[1:]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}

    done = subprocess.run(
        ["make", "--dry-run", *words], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    variables = [word.partition("=")[0] for word in words if "=" in word]
    makefile = (PROJECT / "Makefile").read_text()
    assert all(f"$({name})" in makefile or f"$(value {name})" in makefile for name in variables)


RUN_BY = {
    "Audio Resampler": "tests/e2e/test_commands.py",
    "With curl": "tests/e2e/test_readme_session.py",
    "With other clients": "tests/e2e/test_upload_clients.py",
    "Deploy to AWS": "tests/runtime/test_sam_deploy.py",
    "SAM local": "tests/sam_local/__main__.py",
    "Develop": ".github/workflows/ci.yml",
}
"""What runs the commands below each heading of README. Those of SAM local take containers: `make test-sam-local`."""


def test_every_command_is_run_somewhere() -> None:
    sections = re.split(r"^#+ (.+)\n", README, flags=re.MULTILINE)[1:]
    with_commands = {heading for heading, text in zip(sections[::2], sections[1::2], strict=True) if "```sh" in text}

    assert with_commands == set(RUN_BY)
    for heading, path in RUN_BY.items():
        text = (PROJECT / path).read_text()
        named = {"Audio Resampler": '"make", "run"', "Develop": "make test"}.get(heading, heading)
        assert named in text, f"{path} does not read {heading}"


def test_there_are_commands_to_look_at() -> None:
    assert len(SHELL_BLOCKS) > 8
    assert {"make run AUDIO=song.flac", "make serve", "make deploy", "make test"} <= set(MAKE_COMMANDS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_within_the_project_leads_somewhere(name: str) -> None:
    text = DOCUMENTS[name]
    targets = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'src="([^"]+)"', text)]

    for target in targets:
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        path = (PROJECT / name).parent / file if file else PROJECT / name
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), target


def anchors(markdown: str) -> set[str]:
    """What the headings of a document are linked by."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# ---------------------------------------------------------------- what it costs


def cost_rows() -> list[list[str]]:
    section = README.partition("## What it costs")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def product(quantity: str) -> float:
    """``1,000 x 5 s x 1.73 GB``: 8650."""
    result = 1.0
    for factor in quantity.split(" x "):
        number = re.match(r"[\d.,]+", factor)
        assert number, factor
        result *= float(number[0].replace(",", ""))
    return result


def price(text: str) -> float:
    number, _, unit = text.partition(" ")
    return float(number) * UNITS[unit]


@pytest.mark.parametrize("row", cost_rows()[:-1], ids=lambda row: row[0])
def test_every_line_of_the_costs_is_what_it_multiplies(row: list[str]) -> None:
    _, a_unit, *examples = row

    for quantity, cost in zip(examples[::2], examples[1::2], strict=True):
        last_digit = 10.0 ** -len(cost.partition(".")[2])
        assert abs(price(a_unit) * product(quantity) - float(cost)) <= 0.501 * last_digit


@pytest.mark.parametrize("column", [2, 4])
def test_the_costs_add_up(column: int) -> None:
    *rows, last = cost_rows()

    total = sum(price(row[1]) * product(row[column]) for row in rows)

    assert f"{total:.2f}" == last[column + 1].strip("*")


def test_more_than_two_thirds_are_the_transfer() -> None:
    *rows, _ = cost_rows()
    costs = {row[0]: price(row[1]) * product(row[2]) for row in rows}

    assert 2 / 3 < costs["Transfer out"] / sum(costs.values()) < 0.75
