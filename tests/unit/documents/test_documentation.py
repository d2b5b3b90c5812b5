"""README.md names every parameter, setting, error, field and route, so that none is added in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from api.contract import openapi
from api.requests import JOB_FIELDS
from audiojobs.errors import AudioJobError
from audiojobs.job import Status
from audiojobs.settings import ApiSettings, PurgeSettings, ResampleSettings
from local import template as templates

PROJECT = Path(__file__).resolve().parents[3]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
IN_CODE = set(re.findall(r"`([^`\n]+)`", README))
WORDS = {word for code in IN_CODE for word in re.findall(r"[\w.-]+", code)}
TEMPLATE = templates.load(PROJECT / "template.yaml")
LAMBDAS_OWN = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE"}


def errors(kind: type[AudioJobError] = AudioJobError) -> Iterator[type[AudioJobError]]:
    if hasattr(kind, "code"):
        yield kind
    for below in kind.__subclasses__():
        yield from errors(below)


def rows(first_cell: str) -> list[list[str]]:
    """The rows of README's tables that begin with a cell."""
    lines = [line for line in README.splitlines() if line.startswith(f"| `{first_cell}`")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("name", TEMPLATE["Parameters"])
def test_every_parameter_is_there_with_its_default(name: str) -> None:
    ((_, default, meaning),) = rows(name)

    assert default == str(TEMPLATE["Parameters"][name]["Default"])
    assert meaning


@pytest.mark.parametrize(
    "name",
    sorted(
        {field.name.upper() for kind in (ResampleSettings, ApiSettings, PurgeSettings) for field in fields(kind)}
        - LAMBDAS_OWN
    ),
)
def test_every_setting_is_there(name: str) -> None:
    assert name in WORDS


@pytest.mark.parametrize("error", list(errors()), ids=lambda error: error.code)
def test_every_error_is_there_with_its_status(error: type[AudioJobError]) -> None:
    ((_, status, meaning),) = rows(error.code)

    assert status == str(error.http_status)
    assert meaning


def test_codes_are_kebab_case_and_each_is_given_once() -> None:
    codes = [error.code for error in errors()]

    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("name", JOB_FIELDS)
def test_every_field_of_a_request_is_there(name: str) -> None:
    assert rows(name)


def fields_of_answers() -> dict[str, Any]:
    schemas = openapi("https://audio.example.com/v1")["components"]["schemas"]
    names = ("Job", "CreatedJob", "SeenJob", "ClaimedJob", "Upload", "Download", "Source", "Result", "Notice")
    return {field: name for name in names for field in schemas[name]["properties"]}


@pytest.mark.parametrize("name", fields_of_answers())
def test_every_field_of_an_answer_is_there(name: str) -> None:
    assert name in WORDS


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_every_state_is_there(status: Status) -> None:
    assert str(status) in WORDS


@pytest.mark.parametrize("path", openapi("https://audio.example.com/v1")["paths"])
def test_every_route_is_there(path: str) -> None:
    assert any(path in code for code in IN_CODE)


@pytest.mark.parametrize("name", TEMPLATE["Outputs"])
def test_every_output_is_there(name: str) -> None:
    assert name in WORDS
