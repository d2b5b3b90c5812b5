"""The contract: valid, written down, and what the code, the template and the answers hold to."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import validate

from api import app
from api.contract import openapi
from audiojobs.job import Status
from local import template as templates
from tests.unit.cloud import Cloud
from tests.unit.gateway import BROWSER, Answer, Api
from tests.unit.samples import api_job, direct_job, linked

PROJECT = Path(__file__).resolve().parents[2]
CONTRACT = openapi("https://audio.example.com/v1")
METHODS = {"get", "head", "post", "put", "patch", "delete"}

Routes = set[tuple[str, str]]


def test_it_is_valid_openapi() -> None:
    validate(CONTRACT)


def test_it_is_written_down_in_docs() -> None:
    written = (PROJECT / "docs" / "openapi.yaml").read_text(encoding="utf-8")

    document = runpy.run_path(str(PROJECT / "docs" / "openapi.py"))["document"]

    assert written == document(), "please type: make openapi"
    assert yaml.safe_load(written)["paths"] == CONTRACT["paths"]


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
    "create, refused": ("post", "/jobs", lambda api, _id, _: api.post("/jobs", {"filename": ""})),
    "create, too large": (
        "post",
        "/jobs",
        lambda api, _id, _: api.post("/jobs", {"filename": "a", "size_bytes": 10**15}),
    ),
    "list": ("get", "/jobs", lambda api, _id, _: api.get("/jobs", upload_key="any/key.wav")),
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
    assert set(promised.get("headers", {})) <= set(answer.headers)
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
