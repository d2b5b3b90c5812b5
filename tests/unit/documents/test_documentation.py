"""The documents name every parameter, setting, error, field and route, so that none is added in silence."""

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
TEMPLATE = templates.load(PROJECT / "template.yaml")
LAMBDAS_OWN = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE"}


def document(name: str) -> str:
    return (PROJECT / "docs" / name).read_text(encoding="utf-8")


PARAMETERS = document("parameters.md")
TROUBLESHOOTING = document("troubleshooting.md")
FORMATS = document("formats.md")
API = document("api.md")


def in_code(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def words(text: str) -> set[str]:
    """The words that a document sets as code."""
    return {word for code in in_code(text) for word in re.findall(r"[\w.-]+", code)}


def rows(text: str, first_cell: str) -> list[list[str]]:
    """The rows of a document's tables that begin with a cell."""
    lines = [line for line in text.splitlines() if line.startswith(f"| `{first_cell}`")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def errors(kind: type[AudioJobError] = AudioJobError) -> Iterator[type[AudioJobError]]:
    if hasattr(kind, "code"):
        yield kind
    for below in kind.__subclasses__():
        yield from errors(below)


@pytest.mark.parametrize("name", TEMPLATE["Parameters"])
def test_every_parameter_is_there_with_its_default(name: str) -> None:
    ((_, default, meaning),) = rows(PARAMETERS, name)

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
    assert name in words(PARAMETERS)


@pytest.mark.parametrize("error", list(errors()), ids=lambda error: error.code)
def test_every_error_is_there_with_its_status(error: type[AudioJobError]) -> None:
    chapter = TROUBLESHOOTING.partition("\n## Error codes\n")[2].partition("\n## ")[0]

    ((_, status, meaning),) = rows(chapter, error.code)

    assert status == str(error.http_status)
    assert meaning


def test_the_codes_of_the_gateway_are_there() -> None:
    chapter = TROUBLESHOOTING.partition("\n## Error codes\n")[2].partition("\n## ")[0]
    answers = TEMPLATE["Resources"]["RestApi"]["Properties"]["GatewayResponses"].values()
    codes = {
        re.findall(r'"type": "([a-z-]+)"', answer["ResponseTemplates"]["application/json"])[0] for answer in answers
    }

    assert "request-refused" in codes
    assert [code for code in sorted(codes) if not rows(chapter, code)] == []


def warnings() -> set[str]:
    """The codes that the functions give to notices of their own."""
    texts = (path.read_text(encoding="utf-8") for path in (PROJECT / "functions").rglob("*.py"))
    return {code for text in texts for code in re.findall(r'\bNotice\(\s*"([a-z-]+)"', text)}


def test_every_warning_is_there() -> None:
    chapter = TROUBLESHOOTING.partition("\n## Warnings\n")[2].partition("\n## ")[0]

    assert "decode-errors" in warnings()
    assert [code for code in sorted(warnings()) if not rows(chapter, code)] == []


def test_codes_are_kebab_case_and_each_is_given_once() -> None:
    codes = [error.code for error in errors()]

    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("name", JOB_FIELDS)
def test_every_field_of_a_request_is_there(name: str) -> None:
    assert rows(FORMATS, name)


def fields_of_answers() -> dict[str, Any]:
    schemas = openapi("https://audio.example.com/v1")["components"]["schemas"]
    names = ("Job", "CreatedJob", "SeenJob", "ClaimedJob", "Upload", "Download", "Source", "Result", "Notice")
    return {field: name for name in names for field in schemas[name]["properties"]}


@pytest.mark.parametrize("name", fields_of_answers())
def test_every_field_of_an_answer_is_there(name: str) -> None:
    assert rows(API, name)


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_every_state_is_there(status: Status) -> None:
    assert str(status) in words(API)


@pytest.mark.parametrize("path", openapi("https://audio.example.com/v1")["paths"])
def test_every_route_is_there(path: str) -> None:
    overview = API.partition("\n## Overview\n")[2].partition("\n## ")[0]

    assert any(code.endswith(f" {path}") for code in in_code(overview))


@pytest.mark.parametrize("name", TEMPLATE["Outputs"])
def test_every_output_is_there(name: str) -> None:
    ((_, meaning),) = rows(PARAMETERS, name)

    assert meaning
