"""The contract: valid, written down, and what the code, the template and the answers hold to."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import validate

from api import app
from api.contract import openapi
from audiojobs.errors import AudioJobError, LeaseHeld
from audiojobs.job import Status
from local import template as templates
from tests.unit.cloud import Cloud
from tests.unit.documents.test_documentation import errors
from tests.unit.gateway import BROWSER, Answer, Api
from tests.unit.samples import api_job, direct_job, linked

PROJECT = Path(__file__).resolve().parents[3]
CONTRACT = openapi("https://audio.example.com/v1")
METHODS = {"get", "head", "post", "put", "patch", "delete"}

Routes = set[tuple[str, str]]


def test_it_is_valid_openapi() -> None:
    validate(CONTRACT)


@pytest.mark.parametrize(("name", "maker"), [("openapi.yaml", "document"), ("api.md", "reference")])
def test_it_is_written_down_in_docs(name: str, maker: str) -> None:
    written = (PROJECT / "docs" / name).read_text(encoding="utf-8")

    made = runpy.run_path(str(PROJECT / "docs" / "openapi.py"))[maker]()

    assert written == made, "please type: make openapi"


def test_what_is_written_down_is_the_contract() -> None:
    written = yaml.safe_load((PROJECT / "docs" / "openapi.yaml").read_text(encoding="utf-8"))

    assert {**written, "servers": CONTRACT["servers"]} == CONTRACT


def test_the_reference_has_every_part_and_no_link_into_nothing() -> None:
    lines = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8").splitlines()
    headings = [line.lstrip("# ") for line in lines if line.startswith("#")]
    targets = set(re.findall(r"\]\(#([^)]+)\)", "\n".join(lines)))

    calls = {f"{method} {path}" for method, path in contract_routes()}
    assert calls | set(CONTRACT["components"]["examples"]) <= set(headings)
    assert targets <= {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert not [line for line in lines if "http" in line and "script" in line]


# ---------------------------------------------------------------- descriptions and examples


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in CONTRACT["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
                yield f"{method} {path}", {**operation, "parameters": parameters}


def resolved(node: dict[str, Any]) -> Any:
    """What a reference points to."""
    if "$ref" not in node:
        return node
    target: Any = CONTRACT
    for step in node["$ref"].removeprefix("#/").split("/"):
        target = target[step]
    return target


def media() -> dict[str, dict[str, Any]]:
    """Every body of a request or an answer, by where it is."""
    found: dict[str, dict[str, Any]] = {}
    for name, operation in operations():
        bodies = {"request": operation["requestBody"]} if "requestBody" in operation else {}
        for where, holder in {**bodies, **operation["responses"]}.items():
            for kind, value in holder.get("content", {}).items():
                found[f"{name} {where} {kind}"] = value
    return found


def described() -> dict[str, dict[str, Any]]:
    """Every field, parameter and header, with its schema as ``schema``, by where it is."""
    found: dict[str, dict[str, Any]] = {}
    for name, operation in operations():
        found |= {f"{name} {parameter['name']}": parameter for parameter in operation["parameters"]}
        for status, response in operation["responses"].items():
            found |= {f"{name} {status} {header}": value for header, value in response.get("headers", {}).items()}
    for name, schema in CONTRACT["components"]["schemas"].items():
        found[name] = {**schema, "schema": schema}
        for field, value in schema.get("properties", {}).items():
            found[f"{name}.{field}"] = {**value, "schema": value}
    return found


def examples(node: dict[str, Any]) -> list[Any]:
    if "example" in node:
        return [node["example"]]
    given = node.get("examples", [])
    return [resolved(value)["value"] for value in given.values()] if isinstance(given, dict) else list(given)


def assert_examples_fit(node: dict[str, Any]) -> None:
    assert examples(node)
    schema = {**node["schema"], "components": CONTRACT["components"]}
    for example in examples(node):
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(example)


@pytest.mark.parametrize("where", described())
def test_fields_parameters_and_headers_have_a_description_and_examples_that_fit(where: str) -> None:
    node = described()[where]

    assert len(node["description"]) > 5
    assert_examples_fit(node)


@pytest.mark.parametrize("where", media())
def test_bodies_have_examples_that_fit(where: str) -> None:
    assert_examples_fit(media()[where])


def test_calls_and_answers_have_a_description() -> None:
    for _, operation in operations():
        assert operation["summary"]
        assert all(response["description"] for response in operation["responses"].values())
        assert operation.get("requestBody", {"description": "none"})["description"]


@pytest.mark.parametrize("error", [kind for kind in errors() if kind is not LeaseHeld], ids=lambda kind: kind.code)
def test_every_error_has_a_description_and_an_example_of_its_own(error: type[AudioJobError]) -> None:
    example = CONTRACT["components"]["examples"][error.code]
    of_status = {
        code
        for where, body in media().items()
        if where.endswith(f" {error.http_status} application/problem+json")
        for code in body.get("examples", ())
    }

    assert len(example["description"]) > 5
    assert example["value"]["detail"]
    if error.code in of_status:
        assert example["value"]["type"] == error.code
        assert (example["value"]["title"], example["value"]["status"]) == (error.title, error.http_status)
    else:
        assert example["value"]["code"] == error.code


def test_no_error_is_described_that_is_none() -> None:
    known = {kind.code for kind in errors() if kind is not LeaseHeld}

    assert set(CONTRACT["components"]["examples"]) == known
    assert {choice["const"] for choice in CONTRACT["components"]["schemas"]["ErrorCode"]["oneOf"]} == known


# ---------------------------------------------------------------- routes


def contract_routes() -> Routes:
    return {(method.upper(), path) for path, item in CONTRACT["paths"].items() for method in item if method in METHODS}


def code_routes() -> Routes:
    """The routes of the handler, with the template's names for the parts of a path."""
    names = {"job_id": "id", "token": "token"}
    routes = app.resolver._static_routes + app.resolver._dynamic_routes
    return {(route.method, re.sub(r"<(\w+)>", lambda match: f"{{{names[match[1]]}}}", route.path)) for route in routes}


def template_events() -> list[dict[str, Any]]:
    function = templates.load(PROJECT / "template.yaml")["Resources"]["ApiFunction"]
    return [event["Properties"] for event in function["Properties"]["Events"].values()]


def test_contract_code_and_template_have_the_same_routes() -> None:
    in_template = {(event["Method"].upper(), event["Path"]) for event in template_events()}

    assert contract_routes() == code_routes() == in_template


def test_who_may_call_is_the_same_in_contract_and_template() -> None:
    signed = {
        (method.upper(), path)
        for path, item in CONTRACT["paths"].items()
        for method, operation in item.items()
        if method in METHODS and operation["security"]
    }

    assert signed == {
        (event["Method"].upper(), event["Path"])
        for event in template_events()
        if event.get("Auth", {}).get("Authorizer") != "NONE"
    }
    assert signed == {(method, path) for method, path in contract_routes() if path.startswith("/jobs")}


CALLS: dict[str, tuple[str, str, Callable[[Api, str, str], Answer]]] = {
    "create": ("post", "/jobs", lambda api, _id, _: api.post("/jobs", {"filename": "song.wav"})),
    "create again": (
        "post",
        "/jobs",
        lambda api, _id, _: [
            api.post("/jobs", {"filename": "a.wav"}, headers={"Idempotency-Key": "order-4711"}) for _ in range(2)
        ][1],
    ),
    "create, refused": ("post", "/jobs", lambda api, _id, _: api.post("/jobs", {"filename": ""})),
    "create, too large": (
        "post",
        "/jobs",
        lambda api, _id, _: api.post("/jobs", {"filename": "a", "size_bytes": 10**15}),
    ),
    "list": ("get", "/jobs", lambda api, _id, _: api.get("/jobs", upload_key="any/key.wav")),
    "list, in a state": ("get", "/jobs", lambda api, _id, _: api.get("/jobs", status="ready")),
    "list, refused": ("get", "/jobs", lambda api, _id, _: api.get("/jobs")),
    "get": ("get", "/jobs/{id}", lambda api, job_id, _: api.get(f"/jobs/{job_id}")),
    "get, unknown": ("get", "/jobs/{id}", lambda api, _id, _: api.get("/jobs/x")),
    "renew": ("post", "/jobs/{id}/link", lambda api, job_id, _: api.post(f"/jobs/{job_id}/link")),
    "delete": ("delete", "/jobs/{id}", lambda api, job_id, _: api.delete(f"/jobs/{job_id}")),
    "look": ("get", "/d/{token}", lambda api, _id, token: api.get(f"/d/{token}")),
    "look, page": ("get", "/d/{token}", lambda api, _id, token: api.get(f"/d/{token}", headers=BROWSER)),
    "look, unknown": ("get", "/d/{token}", lambda api, _id, _: api.get("/d/x")),
    "claim": ("post", "/d/{token}", lambda api, _id, token: api.post(f"/d/{token}")),
    "claim, represented": (
        "post",
        "/d/{token}",
        lambda api, _id, token: api.post(f"/d/{token}", headers={"Prefer": "return=representation"}),
    ),
    "delete by link": ("delete", "/d/{token}", lambda api, _id, token: api.delete(f"/d/{token}")),
}


@pytest.mark.parametrize(("method", "path", "call"), CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("status", list(Status), ids=str)
def test_answers_are_as_promised(
    api: Api, cloud: Cloud, status: Status, method: str, path: str, call: Callable[[Api, str, str], Answer]
) -> None:
    job, token = linked(api_job(status))
    cloud.store.create(job)
    cloud.store.create(direct_job(status))

    answer = call(api, job.id, token)

    responses = CONTRACT["paths"][path][method]["responses"]
    assert str(answer.status) in responses
    promised = responses[str(answer.status)]
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    assert bool(answer.body) == ("content" in promised)
    assert {name for name, header in promised.get("headers", {}).items() if header.get("required")} <= set(
        answer.headers
    )
    if answer.body:
        assert kind in promised["content"]
    if kind.endswith("json"):
        must_fit(answer.json(), promised["content"][kind]["schema"])


def must_fit(document: Any, schema: dict[str, Any]) -> None:
    """The document has what its schema asks for and, at its first level, nothing that it does not know."""
    name = schema["$ref"].rpartition("/")[2]
    root = {"$ref": schema["$ref"], "components": CONTRACT["components"]}
    Draft202012Validator(root, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(document)
    assert set(document) <= set(CONTRACT["components"]["schemas"][name]["properties"])
