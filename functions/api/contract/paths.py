"""Every call: who may make it, what it takes, and what it answers."""

from __future__ import annotations

from api.contract.examples import JOB_ID, PAGE_TOKEN, PRESIGNED_DOWNLOAD, TOKEN, Schema
from api.contract.parts import (
    json_response,
    media_type,
    open_call,
    or_page,
    parameter,
    problems,
    problems_or_page,
    signed_call,
)
from api.requests import (
    DEFAULT_LISTED_JOBS,
    IDEMPOTENCY_KEY,
    KEY_PATTERN,
    MAX_KEY_CHARACTERS,
    MAX_LISTED_JOBS,
    MIN_KEY_CHARACTERS,
)
from audiojobs.errors import (
    AlreadyDownloaded,
    InternalError,
    InvalidRequest,
    JobNotFound,
    JobNotReady,
    LinkExpired,
    UploadTooLarge,
)


def paths() -> Schema:
    job_id = parameter("path", "id", "The job's id.", {"type": "string"}, JOB_ID)
    token = parameter(
        "path", "token", "The job's id and the link's secret, separated by a dot.", {"type": "string"}, TOKEN
    )
    return {
        "/jobs": {
            "post": signed_call(
                "createJob",
                "Create a job and get a presigned URL for its upload",
                {
                    "201": json_response("The job, its upload URL and its one-time link", "CreatedJob"),
                    **problems(InvalidRequest, UploadTooLarge),
                },
                requestBody={
                    "required": True,
                    "description": "The file to be uploaded and the MP3 wanted. Only `filename` is required.",
                    "content": {"application/json": media_type("JobRequest")},
                },
            ),
            "get": signed_call(
                "listJobs",
                "List the jobs of a direct upload, newest first",
                {"200": json_response("A page of jobs", "JobList"), **problems(InvalidRequest)},
                parameters=[
                    {
                        **parameter(
                            "query", "upload_key", "The key in the upload bucket.", {"type": "string"}, "any/key.wav"
                        ),
                        "required": True,
                    },
                    parameter(
                        "query",
                        "limit",
                        "Number of jobs on a page.",
                        {"type": "integer", "minimum": 1, "maximum": MAX_LISTED_JOBS, "default": DEFAULT_LISTED_JOBS},
                        50,
                    ),
                    parameter(
                        "query",
                        "next_token",
                        "The `next_token` of the previous page.",
                        {"type": "string"},
                        PAGE_TOKEN,
                    ),
                ],
            ),
        },
        "/jobs/{id}": {
            "parameters": [job_id],
            "get": signed_call(
                "getJob", "Get a job", {"200": json_response("The job", "Job"), **problems(JobNotFound)}
            ),
            "delete": signed_call(
                "deleteJob",
                "Delete the upload and the result now",
                {"204": {"description": "Upload and result are deleted"}, **problems(JobNotFound)},
            ),
        },
        "/jobs/{id}/link": {
            "parameters": [job_id],
            "post": signed_call(
                "renewLink",
                "Make a new one-time link; the old link stops working",
                {
                    "201": json_response("The job and its new link", "LinkedJob"),
                    **problems(JobNotFound, JobNotReady, AlreadyDownloaded, LinkExpired),
                },
            ),
        },
        "/d/{token}": {
            "parameters": [token],
            "get": open_call(
                "lookAtLink",
                "Look at the job behind a link: a page for a browser, JSON otherwise. Never changes a job",
                {"200": or_page(json_response("The job", "SeenJob")), **problems_or_page(JobNotFound)},
            ),
            "head": open_call(
                "lookAtLinkHead",
                "Get the headers of the same. Never changes a job",
                {
                    "200": {"description": "The link exists"},
                    "404": {"description": JobNotFound.title},
                    "500": {"description": InternalError.title},
                },
            ),
            "post": open_call(
                "claimLink",
                "Claim the result. This uses up the link",
                {
                    "200": json_response("The job and the URL of its MP3, if `Prefer` asks for it", "ClaimedJob"),
                    "303": {
                        "description": "Redirect to a short-lived presigned URL of the MP3",
                        "headers": {
                            "Location": {
                                "description": "The URL of the MP3. It works until the download window ends.",
                                "schema": {"type": "string", "format": "uri"},
                                "example": PRESIGNED_DOWNLOAD,
                            }
                        },
                    },
                    **problems_or_page(InvalidRequest, JobNotFound, JobNotReady, AlreadyDownloaded, LinkExpired),
                },
                parameters=[
                    parameter(
                        "header",
                        IDEMPOTENCY_KEY,
                        "A random value of your own. If the answer gets lost, the same call with the same "
                        "key is answered again until the download window ends. Every other caller gets 410.",
                        {
                            "type": "string",
                            "minLength": MIN_KEY_CHARACTERS,
                            "maxLength": MAX_KEY_CHARACTERS,
                            "pattern": f"^{KEY_PATTERN}$",
                        },
                        "4d6e3c0a-5b1f-4c39-9a57-2f8e1d7b6a90",
                    ),
                    parameter(
                        "header",
                        "Prefer",
                        "RFC 7240: `return=representation` gives 200 instead of a redirect.",
                        {"type": "string"},
                        "return=representation",
                    ),
                ],
            ),
            "delete": open_call(
                "deleteByLink",
                "Delete the upload and the result now",
                {"204": {"description": "Upload and result are deleted"}, **problems_or_page(JobNotFound)},
            ),
        },
        "/openapi.json": {
            "get": open_call(
                "getOpenApi",
                "Get this document",
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
