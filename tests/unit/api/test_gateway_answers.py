"""What API Gateway answers by itself: like every other answer, and no more than so many calls a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from api.contract import openapi
from api.responses import SECURITY_HEADERS
from local import template as templates

TEMPLATE = templates.load(Path(__file__).resolve().parents[3] / "template.yaml")
API: dict[str, Any] = TEMPLATE["Resources"]["RestApi"]["Properties"]
CONTRACT = openapi("https://audio.example.com/v1")

KINDS = ["DEFAULT_4XX", "DEFAULT_5XX", "THROTTLED"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def test_no_kind_is_answered_otherwise() -> None:
    assert set(API["GatewayResponses"]) == set(KINDS)


@every_kind
def test_its_headers_are_those_of_every_answer(kind: str) -> None:
    headers = API["GatewayResponses"][kind]["ResponseParameters"]["Headers"]

    expected = {name: value for name, value in SECURITY_HEADERS.items() if name != "Vary"}
    expected |= {"Content-Type": "application/problem+json"} | ({"Retry-After": "1"} if kind == "THROTTLED" else {})
    assert headers == {name: f"'{value}'" for name, value in expected.items()}


@every_kind
def test_its_bodies_are_problem_documents_of_the_contract(kind: str) -> None:
    [(media_type, template)] = API["GatewayResponses"][kind]["ResponseTemplates"].items()

    document = json.loads(template.replace("$context.error.messageString", json.dumps("Missing Authentication Token")))

    assert media_type == "application/json", "the gateway looks for no other"
    assert "$" not in json.dumps(document)
    schema = {"$ref": "#/components/schemas/Refusal", "components": CONTRACT["components"]}
    Draft202012Validator(schema).validate(document)
    assert document["type"] == ("internal-error" if kind == "DEFAULT_5XX" else "request-refused")


@every_kind
def test_the_status_stays_that_of_the_cause(kind: str) -> None:
    assert "StatusCode" not in API["GatewayResponses"][kind]


def test_every_call_is_throttled() -> None:
    [settings] = API["MethodSettings"]

    assert (settings["ResourcePath"], settings["HttpMethod"]) == ("/*", "*")
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (100, 200)


def test_the_contract_tells_of_both() -> None:
    for path, item in CONTRACT["paths"].items():
        for method in item.keys() - {"parameters"}:
            assert {"429", "502", "504"} <= item[method]["responses"].keys(), f"{method} {path}"
            assert "Retry-After" in item[method]["responses"]["429"]["headers"]
