"""The API's contract as an OpenAPI 3.1 document, made from the code: the error tree, the states, the options.

``docs/openapi.yaml`` and ``docs/api.md`` are this document written down (``make openapi``); tests hold them to the
routes in the code and in the template, and every example here to its schema.
"""

from __future__ import annotations

from typing import Any

from api.requests import (
    DEFAULT_LISTED_JOBS,
    IDEMPOTENCY_KEY,
    KEY_PATTERN,
    MAX_FILENAME_CHARACTERS,
    MAX_KEY_CHARACTERS,
    MAX_LISTED_JOBS,
    MIN_KEY_CHARACTERS,
)
from api.responses import problem
from audiojobs.conversion import BIT_RATES, DEFAULT_BIT_RATE, DEFAULT_SAMPLE_RATE
from audiojobs.errors import (
    AlreadyDownloaded,
    AudioJobError,
    CorruptAudio,
    FileError,
    InternalError,
    InvalidRequest,
    JobNotFound,
    JobNotReady,
    LinkExpired,
    NoAudio,
    TimeLimit,
    TruncatedAudio,
    UnsupportedFormat,
    UploadReplaced,
    UploadTooLarge,
)
from audiojobs.job import Status

API_VERSION = "1.0.0"

Schema = dict[str, Any]

ERRORS: dict[type[AudioJobError], tuple[str, AudioJobError]] = {
    InvalidRequest: (
        "A field is missing, unknown, of the wrong type, or impossible with another; `field` names it.",
        InvalidRequest("size_bytes must be a whole number, 1 or more.", field="size_bytes"),
    ),
    JobNotFound: ("No such job, or a link whose secret is wrong: the two are never told apart.", JobNotFound()),
    JobNotReady: (
        "There is no result yet, so ask again later; or the conversion failed, and `detail` says why.",
        JobNotReady(),
    ),
    AlreadyDownloaded: ("The link is spent, or the file was deleted.", AlreadyDownloaded()),
    LinkExpired: ("Nobody came in time; upload and result are deleted.", LinkExpired()),
    UploadTooLarge: (
        "More than the operator allows (the parameter MaxUploadMegabytes).",
        UploadTooLarge("size_bytes may be at most 2048000000."),
    ),
    UploadReplaced: (
        "A newer upload of the same key came before this one was read; it has a job of its own.",
        UploadReplaced(),
    ),
    UnsupportedFormat: ("Not an audio format that is read here, whatever its name says.", UnsupportedFormat()),
    NoAudio: ("An empty file, a header without sound, or a video without a sound track.", NoAudio()),
    CorruptAudio: ("Damaged beyond decoding.", CorruptAudio()),
    TruncatedAudio: (
        "Shorter than the file itself declares; `allow_partial` takes what there is, with this as a warning.",
        TruncatedAudio(),
    ),
    TimeLimit: ("Not done in the 15 minutes that a function has, three times.", TimeLimit()),
    InternalError: (
        "Our fault; the upload is still there, and the operator can send the event again.",
        InternalError(),
    ),
}
"""What each code means, and one such error. ``job-busy`` is for logs alone: no caller meets it."""

_OF_A_JOB = (FileError, TimeLimit)

_STATES = {
    Status.AWAITING_UPLOAD: "the link is there, the file is not yet",
    Status.PROCESSING: "the file is being resampled",
    Status.READY: "the result waits for its one download",
    Status.CLAIMED: "the link is spent, the download window is open",
    Status.PURGED: "upload and result are deleted",
    Status.FAILED: "`error` says why",
    Status.EXPIRED: "nobody came in time",
}

_JOB_ID = "0f8d3c1e5b7a49f2a6c4e8d0b1f3a597"
_TOKEN = f"{_JOB_ID}.hQhUQS1C-O2jYHboJuS2HrvlBe1maItiDLe_-AI1thQ"
_LINK = f"https://api.example.com/v1/d/{_TOKEN}"
_PRESIGNED_UPLOAD = f"https://uploads.s3.us-east-1.amazonaws.com/jobs/{_JOB_ID}?X-Amz-Signature=..."
_PRESIGNED_DOWNLOAD = f"https://results.s3.us-east-1.amazonaws.com/jobs/{_JOB_ID}.mp3?X-Amz-Signature=..."

_SOURCE = {
    "container": "wav",
    "codec": "pcm_s16le",
    "sample_rate": 44100,
    "channels": 2,
    "duration_seconds": 181.2,
    "size_bytes": 31963724,
}
_RESULT = {
    "sample_rate": DEFAULT_SAMPLE_RATE,
    "bit_rate": DEFAULT_BIT_RATE,
    "channels": 2,
    "duration_seconds": 181.2,
    "size_bytes": 4348800,
    "passthrough": False,
}
_NEW_JOB = {
    "id": _JOB_ID,
    "status": "awaiting-upload",
    "filename": "song.wav",
    "created_at": "2026-01-31T12:00:00Z",
    "updated_at": "2026-01-31T12:00:00Z",
    "expires_at": "2026-02-01T12:00:00Z",
    "progress": 0.0,
    "warnings": [],
    "error": None,
    "source": None,
    "result": None,
}
_READY_JOB = {
    **_NEW_JOB,
    "status": "ready",
    "updated_at": "2026-01-31T12:00:30Z",
    "expires_at": "2026-02-01T12:00:30Z",
    "progress": 1.0,
    "source": _SOURCE,
    "result": _RESULT,
}
_UPLOAD: Schema = {
    "method": "PUT",
    "url": _PRESIGNED_UPLOAD,
    "headers": {},
    "size_bytes": None,
    "expires_at": "2026-01-31T13:00:00Z",
}
_DOWNLOAD = {"url": _PRESIGNED_DOWNLOAD, "expires_at": "2026-01-31T12:06:00Z"}
_CLAIMED_JOB = {**_READY_JOB, "status": "claimed", "updated_at": "2026-01-31T12:01:00Z", "download": _DOWNLOAD}
_PAGE_TOKEN = "eyJpZCI6Li4ufQ"  # noqa: S105 - of a list's next page
_REFUSAL = {
    "type": "request-refused",
    "title": "The request was refused",
    "detail": "Missing Authentication Token",
}

EXAMPLES: Schema = {
    "JobRequest": {"filename": "song.wav", "bit_rate": 128000},
    "Job": _READY_JOB,
    "CreatedJob": {**_NEW_JOB, "upload": _UPLOAD, "link": _LINK},
    "SeenJob": _READY_JOB,
    "ClaimedJob": _CLAIMED_JOB,
    "LinkedJob": {**_READY_JOB, "link": _LINK},
    "JobList": {"jobs": [_READY_JOB], "next_token": None},
    "Upload": _UPLOAD,
    "Download": _DOWNLOAD,
    "Source": _SOURCE,
    "Result": _RESULT,
    "Notice": {"code": TruncatedAudio.code, "detail": TruncatedAudio().detail},
    "Problem": problem(ERRORS[InvalidRequest][1]),
    "Refusal": _REFUSAL,
}
"""One whole document of each schema."""


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
            "examples": {kind.code: _error_example(kind) for kind in ERRORS},
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
    job_id = _parameter("path", "id", "The job's id.", {"type": "string"}, _JOB_ID)
    token = _parameter(
        "path", "token", "The job's id and the link's secret, joined by a dot.", {"type": "string"}, _TOKEN
    )
    return {
        "/jobs": {
            "post": _signed(
                "createJob",
                "Create a job and get a presigned URL for its upload",
                {
                    "201": _json("The job, how to upload, and the one-time link", "CreatedJob"),
                    **_problems(InvalidRequest, UploadTooLarge),
                },
                requestBody={
                    "required": True,
                    "description": "What file is to come, and what MP3 is wanted; only `filename` is required.",
                    "content": {"application/json": _media("JobRequest")},
                },
            ),
            "get": _signed(
                "listJobs",
                "The jobs of a direct upload, newest first",
                {"200": _json("A page of jobs", "JobList"), **_problems(InvalidRequest)},
                parameters=[
                    {
                        **_parameter(
                            "query", "upload_key", "The key in the upload bucket.", {"type": "string"}, "any/key.wav"
                        ),
                        "required": True,
                    },
                    _parameter(
                        "query",
                        "limit",
                        "Jobs a page.",
                        {"type": "integer", "minimum": 1, "maximum": MAX_LISTED_JOBS, "default": DEFAULT_LISTED_JOBS},
                        50,
                    ),
                    _parameter(
                        "query",
                        "next_token",
                        "The `next_token` of the page before.",
                        {"type": "string"},
                        _PAGE_TOKEN,
                    ),
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
                {"200": _or_page(_json("The job", "SeenJob")), **_problems_or_page(JobNotFound)},
            ),
            "head": _open(
                "lookAtLinkHead",
                "The headers of the same. Changes nothing",
                {
                    "200": {"description": "There is such a link"},
                    "404": {"description": JobNotFound.title},
                    "500": {"description": InternalError.title},
                },
            ),
            "post": _open(
                "claimLink",
                "Claim the result: spends the link",
                {
                    "200": _json("Asked for by Prefer: the job and where its MP3 is", "ClaimedJob"),
                    "303": {
                        "description": "To a short-lived presigned URL of the MP3",
                        "headers": {
                            "Location": {
                                "description": "Where the MP3 is, for as long as the download window lasts.",
                                "schema": {"type": "string", "format": "uri"},
                                "example": _PRESIGNED_DOWNLOAD,
                            }
                        },
                    },
                    **_problems_or_page(InvalidRequest, JobNotFound, JobNotReady, AlreadyDownloaded, LinkExpired),
                },
                parameters=[
                    _parameter(
                        "header",
                        IDEMPOTENCY_KEY,
                        "A random value of the caller's own. Should the answer get lost, the same call with the same "
                        "key is answered again while the download window lasts; everybody else gets 410.",
                        {
                            "type": "string",
                            "minLength": MIN_KEY_CHARACTERS,
                            "maxLength": MAX_KEY_CHARACTERS,
                            "pattern": f"^{KEY_PATTERN}$",
                        },
                        "4d6e3c0a-5b1f-4c39-9a57-2f8e1d7b6a90",
                    ),
                    _parameter(
                        "header",
                        "Prefer",
                        "RFC 7240: `return=representation` gives 200 instead of a redirect.",
                        {"type": "string"},
                        "return=representation",
                    ),
                ],
            ),
            "delete": _open(
                "deleteByLink",
                "Delete upload and result now",
                {"204": {"description": "Both are gone"}, **_problems_or_page(JobNotFound)},
            ),
        },
        "/openapi.json": {
            "get": _open(
                "getOpenApi",
                "This document",
                {
                    "200": {
                        "description": "OpenAPI 3.1",
                        "content": {
                            "application/json": {"schema": {"type": "object"}, "example": {"openapi": "3.1.0"}}
                        },
                    }
                },
            )
        },
    }


def _schemas() -> Schema:
    """Every schema with its whole example, and every field with its part of it."""
    schemas = _bare_schemas()
    for name, schema in schemas.items():
        if "properties" in schema:
            schema["properties"] = {
                field: {**value, "examples": value.get("examples") or [EXAMPLES[name][field]]}
                for field, value in schema["properties"].items()
            }
        if name in EXAMPLES:
            schema["examples"] = [EXAMPLES[name]]
    return schemas


def _bare_schemas() -> Schema:
    states = "; ".join(f"`{status}`: {_STATES[status]}" for status in Status)
    job = {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "32 hexadecimal digits."},
        "status": {
            "type": "string",
            "enum": [str(status) for status in Status],
            "description": f"Where the job is: {states}.",
        },
        "filename": {"type": "string", "description": "The uploader's file name."},
        "created_at": _moment("When the job was made, in UTC."),
        "updated_at": _moment("When the job last changed, in UTC."),
        "expires_at": _moment("From then on the link is dead."),
        "progress": {"type": "number", "minimum": 0, "maximum": 1, "description": "How much of the work is done."},
        "warnings": {
            "type": "array",
            "items": _ref("Notice"),
            "description": "What the file's owner should know of a result that is there all the same.",
            "examples": [[EXAMPLES["Notice"]]],
        },
        "error": _nullable("Notice", "Why the job failed; null unless it did."),
        "source": _nullable("Source", "What was uploaded; null until it was looked at."),
        "result": _nullable("Result", "What came out; null until it is there."),
    }
    upload = {**_ref("Upload"), "description": "How to upload the file.", "examples": [_UPLOAD]}
    link = {"type": "string", "format": "uri", "description": "The one-time link.", "examples": [_LINK]}
    return {
        "JobRequest": {
            "type": "object",
            "description": "A file that is to come, and the MP3 that is wanted.",
            "required": ["filename"],
            "additionalProperties": False,
            "properties": {
                "filename": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAX_FILENAME_CHARACTERS,
                    "description": "Comes back as the name of the download.",
                },
                "size_bytes": _optional(
                    "integer", "Size of the file; S3 then takes no other.", minimum=1, examples=[_SOURCE["size_bytes"]]
                ),
                "sample_rate": _optional(
                    "integer",
                    "In Hz.",
                    enum=[*sorted(BIT_RATES), None],
                    default=DEFAULT_SAMPLE_RATE,
                    examples=[DEFAULT_SAMPLE_RATE],
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
                    examples=[2],
                ),
                "channels": _optional("integer", "Default: as the source, at most 2.", enum=[1, 2, None], examples=[2]),
                "allow_partial": _optional(
                    "boolean", "Take what a truncated file has.", default=False, examples=[True]
                ),
            },
        },
        "Job": _object(job, "One file on its way."),
        "CreatedJob": _object({**job, "link": link, "upload": upload}, "A new job."),
        "SeenJob": {
            **_object(job, "A job behind its link."),
            "properties": {**job, "upload": {**upload, "description": "Only while the job awaits its upload."}},
        },
        "ClaimedJob": _object(
            {**job, "download": {**_ref("Download"), "description": "Where the MP3 is."}}, "A job whose link is spent."
        ),
        "LinkedJob": _object({**job, "link": link}, "A job with its fresh link."),
        "JobList": _object(
            {
                "jobs": {"type": "array", "items": _ref("Job"), "description": "Newest first."},
                "next_token": _optional("string", "Gives the next page; null on the last one.", examples=[_PAGE_TOKEN]),
            },
            "A page of jobs, newest first.",
        ),
        "Upload": _object(
            {
                "method": {"type": "string", "enum": ["PUT"], "description": "The HTTP method to send the file with."},
                "url": {"type": "string", "format": "uri", "description": "Presigned: whoever has it may upload."},
                "headers": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "To be sent with the file, where there are any.",
                },
                "size_bytes": {
                    "type": ["integer", "null"],
                    "description": "The announced size, if there was one: S3 takes no other file.",
                },
                "expires_at": _moment("The upload must begin before."),
            },
            "How to upload the file.",
        ),
        "Download": _object(
            {
                "url": {"type": "string", "format": "uri", "description": "Presigned: whoever has it may download."},
                "expires_at": _moment("A download must begin before; then the file is deleted."),
            },
            "Where the MP3 is.",
        ),
        "Source": _object(
            {
                "container": {"type": "string", "description": "The kind of file."},
                "codec": {"type": "string", "description": "How the sound is coded in it."},
                "sample_rate": {"type": "integer", "description": "In Hz."},
                "channels": {"type": "integer", "description": "How many."},
                "duration_seconds": _optional("number", "Null where the file does not tell."),
                "size_bytes": {"type": "integer", "description": "Of the whole file."},
            },
            "What was uploaded, in ffprobe's terms.",
        ),
        "Result": _object(
            {
                "sample_rate": {"type": "integer", "description": "In Hz."},
                "bit_rate": {"type": "integer", "description": "In bit/s; the mean where it varies."},
                "channels": {"type": "integer", "description": "1 or 2."},
                "duration_seconds": {"type": "number", "description": "Of the sound, without the encoder's padding."},
                "size_bytes": {"type": "integer", "description": "Of the download."},
                "passthrough": {
                    "type": "boolean",
                    "description": "It was right already and is byte for byte the upload.",
                },
            },
            "The MP3.",
        ),
        "Notice": _object(
            {
                "code": {"type": "string", "description": "Stable: one of ErrorCode, or the warning `decode-errors`."},
                "detail": {"type": "string", "description": "A sentence for people."},
            },
            "An error or a warning.",
        ),
        "ErrorCode": {
            "type": "string",
            "description": "Stable: the `type` of a problem document, and the `error.code` of a failed job.",
            "oneOf": [
                {"const": kind.code, "title": kind.title, "description": meaning}
                for kind, (meaning, _) in ERRORS.items()
            ],
            "examples": [InvalidRequest.code],
        },
        "Problem": {
            "type": "object",
            "description": "RFC 9457.",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {**_ref("ErrorCode"), "description": "The stable code."},
                "title": {"type": "string", "description": "What the code means, always the same."},
                "status": {"type": "integer", "description": "That of the answer."},
                "detail": {"type": "string", "description": "A sentence for people about this very case."},
                "field": {"type": "string", "description": "The part of the request at fault."},
            },
        },
        "Refusal": _object(
            {
                "type": {"type": "string", "enum": ["request-refused", "internal-error"], "description": "Stable."},
                "title": {"type": "string", "description": "What the code means, always the same."},
                "detail": {"type": ["string", "null"], "description": "API Gateway's own words."},
            },
            "RFC 9457, from API Gateway itself, which can't name the status a second time. "
            "A 500 can be one too, where no function was free.",
        ),
    }


def _moment(description: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": description}


def _nullable(name: str, description: str) -> Schema:
    return {"oneOf": [_ref(name), {"type": "null"}], "description": description, "examples": [EXAMPLES[name]]}


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


def _media(schema: str) -> Schema:
    return {"schema": _ref(schema), "example": EXAMPLES[schema]}


def _json(description: str, schema: str) -> Schema:
    return {"description": description, "content": {"application/json": _media(schema)}}


def _or_page(response: Schema) -> Schema:
    """The same as a page, for a browser."""
    page = {"schema": {"type": "string"}, "example": "<!DOCTYPE html>..."}
    return {**response, "content": {**response["content"], "text/html": page}}


def _problems(*errors: type[AudioJobError]) -> Schema:
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
                    "schema": _ref("Problem"),
                    "examples": {error.code: {"$ref": f"#/components/examples/{error.code}"} for error in group},
                }
            },
        }
        for status, group in by_status.items()
    }


def _problems_or_page(*errors: type[AudioJobError]) -> Schema:
    return {status: _or_page(response) for status, response in _problems(*errors).items()}


def _error_example(kind: type[AudioJobError]) -> Schema:
    """A problem document, or what a failed job has as its ``error`` where no call is answered with the code."""
    meaning, error = ERRORS[kind]
    answered = not issubclass(kind, _OF_A_JOB) or kind is UploadTooLarge
    value = problem(error) if answered else {"code": error.code, "detail": error.detail}
    return {"summary": kind.title, "description": meaning, "value": value}


def _signed(operation_id: str, summary: str, responses: Schema, **more: Any) -> Schema:
    refused = {"403": _refusal("Not signed, wrongly signed, or not allowed")}
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [{"sigv4": []}],
        "responses": {**responses, **refused, **_of_the_gateway()},
        **more,
    }


def _open(operation_id: str, summary: str, responses: Schema, **more: Any) -> Schema:
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [],
        "responses": {**responses, **_of_the_gateway()},
        **more,
    }


def _of_the_gateway() -> Schema:
    """What API Gateway can answer to any call by itself."""
    return {
        "429": _refusal("Too many calls at the same time; try again"),
        "502": _refusal("The function broke off; try again"),
        "504": _refusal("No answer in time; try again"),
    }


def _refusal(description: str) -> Schema:
    return {"description": description, "content": {"application/problem+json": _media("Refusal")}}


def _parameter(place: str, name: str, description: str, schema: Schema, example: str | int) -> Schema:
    required = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, **required, "description": description, "schema": schema, "example": example}
