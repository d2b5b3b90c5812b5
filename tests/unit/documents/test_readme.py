"""README.md and the other documents: commands that parse, targets and links that exist, sums that are right."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

PROJECT = Path(__file__).resolve().parents[3]
DOCUMENTS = {
    str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8")
    for path in (*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").rglob("*.md")), PROJECT / "local/README.md")
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
    ("README.md", "Try it"): ("tests/e2e/test_commands.py", '"make", "run"'),
    ("README.md", "With curl"): ("tests/e2e/test_readme_session.py", '"With curl"'),
    ("README.md", "Deploy to AWS"): ("tests/runtime/test_sam_deploy.py", "## Deploy to AWS"),
    ("CONTRIBUTING.md", "Set up"): (".github/workflows/ci.yml", "make test"),
    ("docs/clients.md", "To the presigned URL"): ("tests/e2e/test_clients.py", '"To the presigned URL"'),
    ("docs/clients.md", "Into the upload bucket"): ("tests/e2e/test_clients.py", '"Into the upload bucket"'),
    ("docs/clients.md", "Claiming a link"): ("tests/e2e/test_clients.py", '"Claiming a link"'),
    ("docs/container.md", "In a container"): ("tests/container/checks.py", '"build"'),
    ("docs/container.md", "Convert a file"): ("tests/container/checks.py", '"AUDIO=/audio/song.wav"'),
    ("docs/container.md", "Use the service"): ("tests/container/checks.py", "--published --port"),
    ("docs/sam-local.md", "Commands"): ("tests/sam_local/__main__.py", '"sam-local.md"'),
}
"""What runs the commands below a heading, and how it names them. `make test-sam-local` and `make
test-container` run those of sam-local.md and container.md."""

FOR_AN_ACCOUNT = {"docs/deploy.md", "docs/operations.md", "docs/events.md"}
"""Commands for a stack on AWS; tests of their own run those that the embedded AWS can run."""


def test_every_command_is_run_somewhere() -> None:
    with_commands = {
        (name, heading)
        for name, text in DOCUMENTS.items()
        if name not in FOR_AN_ACCOUNT
        for heading, section in sections(text)
        if "```sh" in section
    }

    assert with_commands == set(RUN_BY)
    for place, (path, named) in RUN_BY.items():
        assert named in (PROJECT / path).read_text(), f"{path} does not read {place}"


def sections(text: str) -> Iterator[tuple[str, str]]:
    """The headings of the first and second level, each with what stands below it."""
    parts = re.split(r"^##? (.+)\n", text, flags=re.MULTILINE)[1:]
    return zip(parts[::2], parts[1::2], strict=True)


def test_every_command_for_a_stack_names_the_region() -> None:
    of_an_account = [DOCUMENTS[name] for name in sorted(FOR_AN_ACCOUNT)] + [README.partition("\n## Deploy to AWS\n")[2]]
    blocks = [
        block for text in of_an_account for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    ]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    of_a_region = [
        line
        for line in lines
        if re.search(r"\b(aws (?!configure|iam)|sam delete|make (redrive|verify))", line.partition("#")[0])
    ]

    assert len(of_a_region) > 15
    assert [line for line in of_a_region if not re.search(r"--region |REGION=", line)] == []


def test_readme_is_a_front_page() -> None:
    assert len(README.splitlines()) <= 180


def test_readme_leads_to_every_document() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)", README))
    decisions = {name for name in DOCUMENTS if name.startswith("docs/decisions/") and not name.endswith("README.md")}

    assert set(DOCUMENTS) - decisions - {"README.md"} <= linked


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


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_is_named_with_its_folder_is_there(name: str) -> None:
    folders = "docs|functions|layers|local|operate|tests"
    named = re.findall(rf"`((?:{folders})/[\w./-]*)(?:::\w+)?`", DOCUMENTS[name])

    assert [path for path in named if not (PROJECT / path).exists()] == []


def anchors(markdown: str) -> set[str]:
    """What the headings of a document are linked by."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_picture_of_the_page_says_what_the_page_says() -> None:
    folder = PROJECT / "functions" / "api" / "page" / "texts"
    texts = json.loads((folder / "en.json").read_text(encoding="utf-8"))

    picture = " ".join(ElementTree.parse(PROJECT / "docs" / "page.svg").getroot().itertext())  # noqa: S314 - our own
    shown = " ".join(picture.split())

    assert texts["leads"]["ready"] in shown
    assert texts["download"]["button"].replace("{size}", "6.5 MB") in shown
    assert texts["download"]["once"].replace("{window}", "5 minutes") in shown
    assert texts["delete"]["button"] in shown
    assert texts["promise"] in shown


# ---------------------------------------------------------------- what it costs


def cost_rows() -> list[list[str]]:
    section = DOCUMENTS["docs/costs.md"].partition("\n## What a job costs\n")[2].partition("\n## ")[0]
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


def test_readme_names_the_price_of_the_example() -> None:
    *_, total = cost_rows()

    assert f"cost about {total[3].strip('*')} USD" in README


def test_more_than_two_thirds_are_the_transfer() -> None:
    *rows, _ = cost_rows()
    costs = {row[0]: price(row[1]) * product(row[2]) for row in rows}

    assert 2 / 3 < costs["Transfer out"] / sum(costs.values()) < 0.75
