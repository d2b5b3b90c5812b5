"""Pieces of an OpenAPI document, each a function of what is particular to it."""

from __future__ import annotations

from typing import Any

from api.contract.errors import ERRORS, OF_A_JOB
from api.contract.examples import EXAMPLES, Schema
from api.responses import problem
from audiojobs.errors import AudioJobError, InternalError, JobNotReady, UploadTooLarge


def timestamp(description: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": description}


def timestamp_or_null(description: str) -> Schema:
    return {"type": ["string", "null"], "format": "date-time", "description": description}


def nullable(name: str, description: str) -> Schema:
    return {"oneOf": [reference(name), {"type": "null"}], "description": description, "examples": [EXAMPLES[name]]}


def object_schema(properties: Schema, description: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "required": list(properties),
        "properties": properties,
    }


def optional(kind: str, description: str, **more: Any) -> Schema:
    return {"type": [kind, "null"], "description": description, **more}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def media_type(schema: str) -> Schema:
    return {"schema": reference(schema), "example": EXAMPLES[schema]}


def json_response(description: str, schema: str) -> Schema:
    return {"description": description, "content": {"application/json": media_type(schema)}}


def or_page(response: Schema) -> Schema:
    """The same as a page, for a browser."""
    page = {"schema": {"type": "string"}, "example": "<!DOCTYPE html>..."}
    return {**response, "content": {**response["content"], "text/html": page}}


def problems(*errors: type[AudioJobError]) -> Schema:
    """The problem documents of a call; that something goes wrong on our side can always be."""
    by_status: dict[str, list[type[AudioJobError]]] = {}
    possible: tuple[type[AudioJobError], ...] = (*errors, InternalError)
    for error in possible:
        by_status.setdefault(str(error.http_status), []).append(error)
    return {
        status: {
            "description": "; ".join(f"{error.code}: {error.title}" for error in group),
            "content": {
                "application/problem+json": {
                    "schema": reference("Problem"),
                    "examples": {error.code: {"$ref": f"#/components/examples/{error.code}"} for error in group},
                }
            },
            **({"headers": retry_after("Where waiting helps: ask")} if JobNotReady in group else {}),
        }
        for status, group in by_status.items()
    }


def problems_or_page(*errors: type[AudioJobError]) -> Schema:
    return {status: or_page(response) for status, response in problems(*errors).items()}


def error_example(kind: type[AudioJobError]) -> Schema:
    """A problem document, or what a failed job has as its ``error`` where no call is answered with the code."""
    meaning, error = ERRORS[kind]
    answered = not issubclass(kind, OF_A_JOB) or kind is UploadTooLarge
    value = problem(error) if answered else {"code": error.code, "detail": error.detail}
    return {"summary": kind.title, "description": meaning, "value": value}


def signed_call(operation_id: str, summary: str, responses: Schema, **more: Any) -> Schema:
    refused = {"403": refusal("The call is not signed, wrongly signed, or not allowed")}
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [{"sigv4": []}],
        "responses": {**responses, **refused, **gateway_responses()},
        **more,
    }


def open_call(operation_id: str, summary: str, responses: Schema, **more: Any) -> Schema:
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [],
        "responses": {**responses, **gateway_responses()},
        **more,
    }


def gateway_responses() -> Schema:
    """What API Gateway can answer to any call by itself."""
    return {
        "429": {**refusal("Too many calls at the same time. Try again"), "headers": retry_after("Try")},
        "502": refusal("The function failed. Try again"),
        "504": refusal("No answer in time. Try again"),
    }


def retry_after(what: str) -> Schema:
    header = {
        "description": f"{what} again after so many seconds.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 3,
    }
    return {"Retry-After": header}


def refusal(description: str) -> Schema:
    return {"description": description, "content": {"application/problem+json": media_type("Refusal")}}


def parameter(place: str, name: str, description: str, schema: Schema, example: str | int) -> Schema:
    required = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, **required, "description": description, "schema": schema, "example": example}
