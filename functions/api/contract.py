"""The API's contract as an OpenAPI 3.1 document, made from the code: the error tree, the states, the options.

``docs/openapi.yaml`` is this document written down; tests hold both to the routes in the code and in the template.
"""

from __future__ import annotations

from typing import Any

from api.requests import DEFAULT_LISTED_JOBS, MAX_FILENAME_CHARACTERS, MAX_LISTED_JOBS
from audiojobs.conversion import BIT_RATES, DEFAULT_BIT_RATE, DEFAULT_SAMPLE_RATE
from audiojobs.errors import (
    AlreadyDownloaded,
    AudioJobError,
    InternalError,
    InvalidRequest,
    JobNotFound,
    JobNotReady,
    LinkExpired,
    UploadTooLarge,
)
from audiojobs.job import Status

API_VERSION = "1.0.0"

Schema = dict[str, Any]


def openapi(server_url: str) -> Schema:
    """The document. ``server_url`` is the API's base address with its stage."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Audio Resampler",
            "version": API_VERSION,
            "description": "Audio in, 32 kHz MP3 out, one download, nothing kept.",
        },
        "servers": [{"url": server_url}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "AWS Signature Version 4, service execute-api; the caller needs execute-api:Invoke.",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
        },
    }


def _paths() -> Schema:
    job_id = _path_parameter("id", "The job's id.", {"type": "string"})
    token = _path_parameter("token", "The job's id and the link's secret, joined by a dot.", {"type": "string"})
    return {
        "/jobs": {
            "post": _signed(
                "createJob",
                "Create a job and get a presigned URL for its upload",
                {
                    "201": _json("The job, how to upload, and the one-time link", "CreatedJob"),
                    **_problems(InvalidRequest, UploadTooLarge),
                },
                requestBody={"required": True, "content": {"application/json": {"schema": _ref("JobRequest")}}},
            ),
            "get": _signed(
                "listJobs",
                "The jobs of a direct upload, newest first",
                {"200": _json("A page of jobs", "JobList"), **_problems(InvalidRequest)},
                parameters=[
                    _query_parameter("upload_key", "The key in the upload bucket.", {"type": "string"}, required=True),
                    _query_parameter(
                        "limit",
                        "Jobs a page.",
                        {"type": "integer", "minimum": 1, "maximum": MAX_LISTED_JOBS, "default": DEFAULT_LISTED_JOBS},
                    ),
                    _query_parameter("next_token", "From the page before.", {"type": "string"}),
                ],
            ),
        },
        "/jobs/{id}": {
            "parameters": [job_id],
            "get": _signed("getJob", "The job", {"200": _json("The job", "Job"), **_problems(JobNotFound)}),
            "delete": _signed(
                "deleteJob",
                "Delete upload and result now",
                {"204": {"description": "Both are gone"}, **_problems(JobNotFound)},
            ),
        },
        "/jobs/{id}/link": {
            "parameters": [job_id],
            "post": _signed(
                "renewLink",
                "A fresh one-time link; the one before it is dead",
                {
                    "201": _json("The job and its new link", "LinkedJob"),
                    **_problems(JobNotFound, JobNotReady, AlreadyDownloaded, LinkExpired),
                },
            ),
        },
        "/d/{token}": {
            "parameters": [token],
            "get": _open(
                "lookAtLink",
                "The job behind a link: a page for a browser, JSON otherwise. Changes nothing",
                {"200": _json_or_page("The job", "SeenJob"), **_problems(JobNotFound)},
            ),
            "head": _open(
                "lookAtLinkHead",
                "The headers of the same. Changes nothing",
                {"200": {"description": "There is such a link"}, "404": {"description": JobNotFound.title}},
            ),
            "post": _open(
                "claimLink",
                "Claim the result: spends the link",
                {
                    "200": _json("Asked for by Prefer: the job and where its MP3 is", "ClaimedJob"),
                    "303": {
                        "description": "To a short-lived presigned URL of the MP3",
                        "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}},
                    },
                    **_problems(JobNotFound, JobNotReady, AlreadyDownloaded, LinkExpired),
                },
                parameters=[
                    {
                        "name": "Prefer",
                        "in": "header",
                        "description": "RFC 7240: return=representation gives 200 instead of a redirect.",
                        "schema": {"type": "string", "examples": ["return=representation"]},
                    }
                ],
            ),
            "delete": _open(
                "deleteByLink",
                "Delete upload and result now",
                {"204": {"description": "Both are gone"}, **_problems(JobNotFound)},
            ),
        },
        "/openapi.json": {
            "get": _open(
                "getOpenApi",
                "This document",
                {
                    "200": {
                        "description": "OpenAPI 3.1",
                        "content": {"application/json": {"schema": {"type": "object"}}},
                    }
                },
            )
        },
    }


def _schemas() -> Schema:
    moment = {"type": "string", "format": "date-time", "examples": ["2026-01-31T12:00:00Z"]}
    job = {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$", "examples": ["0f8d3c1e5b7a49f2a6c4e8d0b1f3a597"]},
        "status": {"type": "string", "enum": [str(status) for status in Status], "description": "Where the job is."},
        "filename": {"type": "string", "description": "The uploader's file name.", "examples": ["song.wav"]},
        "created_at": moment,
        "updated_at": moment,
        "expires_at": {**moment, "description": "From then on the link is dead."},
        "progress": {"type": "number", "minimum": 0, "maximum": 1, "description": "How much of the work is done."},
        "warnings": {"type": "array", "items": _ref("Notice")},
        "error": {"oneOf": [_ref("Notice"), {"type": "null"}], "description": "Why the job failed."},
        "source": {"oneOf": [_ref("Source"), {"type": "null"}], "description": "What was uploaded."},
        "result": {"oneOf": [_ref("Result"), {"type": "null"}], "description": "What came out."},
    }
    link = {
        "type": "string",
        "format": "uri",
        "description": "The one-time link.",
        "examples": ["https://api.example.com/v1/d/0f8d3c1e5b7a49f2a6c4e8d0b1f3a597.secret"],
    }
    return {
        "JobRequest": {
            "type": "object",
            "required": ["filename"],
            "additionalProperties": False,
            "properties": {
                "filename": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAX_FILENAME_CHARACTERS,
                    "description": "Comes back as the name of the download.",
                    "examples": ["song.wav"],
                },
                "size_bytes": _optional("integer", "Size of the file; S3 then takes no other.", minimum=1),
                "sample_rate": _optional(
                    "integer", "In Hz.", enum=[*sorted(BIT_RATES), None], default=DEFAULT_SAMPLE_RATE
                ),
                "bit_rate": _optional(
                    "integer",
                    f"Constant bit rate in bit/s, one that MP3 has at the sample rate. Without it: {DEFAULT_BIT_RATE}, "
                    "or the highest below that the sample rate has.",
                    enum=[*sorted({rate for rates in BIT_RATES.values() for rate in rates}), None],
                ),
                "vbr_quality": _optional(
                    "integer",
                    "Variable bit rate, 0 (best) to 9 (smallest), instead of bit_rate.",
                    minimum=0,
                    maximum=9,
                ),
                "channels": _optional("integer", "Default: as the source, at most 2.", enum=[1, 2, None]),
                "allow_partial": _optional("boolean", "Take what a truncated file has.", default=False),
            },
        },
        "Job": _object(job, "One file on its way."),
        "CreatedJob": _object({**job, "link": link, "upload": _ref("Upload")}, "A new job."),
        "SeenJob": {
            **_object(job, "A job behind its link."),
            "properties": {**job, "upload": {**_ref("Upload"), "description": "Only while the job awaits its upload."}},
        },
        "ClaimedJob": _object({**job, "download": _ref("Download")}, "A job whose link is spent."),
        "LinkedJob": _object({**job, "link": link}, "A job with its fresh link."),
        "JobList": _object(
            {
                "jobs": {"type": "array", "items": _ref("Job")},
                "next_token": _optional("string", "Gives the next page; null on the last one."),
            },
            "A page of jobs, newest first.",
        ),
        "Upload": _object(
            {
                "method": {"type": "string", "enum": ["PUT"]},
                "url": {"type": "string", "format": "uri", "description": "Presigned: whoever has it may upload."},
                "headers": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "To be sent with the file.",
                },
                "expires_at": {**moment, "description": "The upload must begin before."},
            },
            "How to upload the file.",
        ),
        "Download": _object(
            {
                "url": {"type": "string", "format": "uri", "description": "Presigned: whoever has it may download."},
                "expires_at": {**moment, "description": "A download must begin before; then the file is deleted."},
            },
            "Where the MP3 is.",
        ),
        "Source": _object(
            {
                "container": {"type": "string", "examples": ["wav"]},
                "codec": {"type": "string", "examples": ["pcm_s16le"]},
                "sample_rate": {"type": "integer", "description": "In Hz.", "examples": [44100]},
                "channels": {"type": "integer", "examples": [2]},
                "duration_seconds": _optional("number", "Null where the file does not tell.", examples=[181.2]),
                "size_bytes": {"type": "integer", "examples": [31963724]},
            },
            "What was uploaded, in ffprobe's terms.",
        ),
        "Result": _object(
            {
                "sample_rate": {"type": "integer", "description": "In Hz.", "examples": [DEFAULT_SAMPLE_RATE]},
                "bit_rate": {
                    "type": "integer",
                    "description": "In bit/s; the mean where it varies.",
                    "examples": [192000],
                },
                "channels": {"type": "integer", "examples": [2]},
                "duration_seconds": {"type": "number", "examples": [181.2]},
                "size_bytes": {"type": "integer", "examples": [4348800]},
                "passthrough": {
                    "type": "boolean",
                    "description": "It was right already and is byte for byte the upload.",
                },
            },
            "The MP3.",
        ),
        "Notice": _object(
            {
                "code": {"type": "string", "description": "Stable.", "examples": ["truncated-audio"]},
                "detail": {"type": "string", "description": "A sentence for people."},
            },
            "An error or a warning.",
        ),
        "Problem": {
            "type": "object",
            "description": "RFC 9457.",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {"type": "string", "description": "The stable code.", "examples": [InvalidRequest.code]},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "A sentence for people."},
                "field": {"type": "string", "description": "The part of the request at fault."},
            },
        },
    }


def _object(properties: Schema, description: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "required": list(properties),
        "properties": properties,
    }


def _optional(kind: str, description: str, **more: Any) -> Schema:
    return {"type": [kind, "null"], "description": description, **more}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(description: str, schema: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": _ref(schema)}}}


def _json_or_page(description: str, schema: str) -> Schema:
    response = _json(description, schema)
    response["content"]["text/html"] = {"schema": {"type": "string"}}
    return response


def _problems(*errors: type[AudioJobError]) -> Schema:
    """The problem documents of a call; that something goes wrong on our side can always be."""
    by_status: dict[str, list[type[AudioJobError]]] = {}
    possible: tuple[type[AudioJobError], ...] = (*errors, InternalError)
    for error in possible:
        by_status.setdefault(str(error.http_status), []).append(error)
    return {
        status: {
            "description": "; ".join(f"{error.code}: {error.title}" for error in group),
            "content": {"application/problem+json": {"schema": _ref("Problem")}},
        }
        for status, group in by_status.items()
    }


def _signed(operation_id: str, summary: str, responses: Schema, **more: Any) -> Schema:
    refused = {"403": {"description": "Not signed, wrongly signed, or not allowed"}}
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [{"sigv4": []}],
        "responses": {**responses, **refused},
        **more,
    }


def _open(operation_id: str, summary: str, responses: Schema, **more: Any) -> Schema:
    return {"operationId": operation_id, "summary": summary, "security": [], "responses": responses, **more}


def _path_parameter(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query_parameter(name: str, description: str, schema: Schema, *, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}
