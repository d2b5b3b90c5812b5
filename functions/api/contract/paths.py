"""Every call: who may make it, what it takes, and what it answers."""

from __future__ import annotations

from api.contract.examples import JOB_ID, PAGE_TOKEN, PRESIGNED_DOWNLOAD, REFERENCE, TOKEN, Schema
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
    JOB_KEY_PATTERN,
    KEY_PATTERN,
    MAX_JOB_KEY_CHARACTERS,
    MAX_KEY_CHARACTERS,
    MAX_LISTED_JOBS,
    MIN_KEY_CHARACTERS,
)
from audiojobs.errors import (
    AlreadyDownloaded,
    CrossOriginClaim,
    IdempotencyKeyReused,
    InternalError,
    InvalidRequest,
    JobNotFound,
    JobNotReady,
    LinkExpired,
    LinkLocked,
    PassphraseRequired,
    UploadConflict,
    UploadIncomplete,
    UploadNotAwaited,
    UploadNotFound,
    UploadTooLarge,
    WrongPassphrase,
)
from audiojobs.job import Status
from audiojobs.references import MAX_REFERENCE_CHARACTERS


def _body(schema: str, description: str, *, required: bool) -> Schema:
    content = {"application/json": media_type(schema)}
    return {"requestBody": {"required": required, "description": description, "content": content}}


def _claim_body() -> Schema:
    body = _body("ClaimRequest", "The passphrase, for a job that has one: as JSON or from a form.", required=False)
    body["requestBody"]["content"]["application/x-www-form-urlencoded"] = media_type("ClaimForm")
    return body


# The upload in parts, which signed callers and whoever has the link do alike.
_BEGIN = ("Begin the upload of a large file in parts, or find it with the parts that are there",)
_BEGUN = {"200": json_response("The upload and its parts", "UploadInParts")}
_BEGIN_ERRORS = (
    InvalidRequest,
    JobNotFound,
    UploadNotAwaited,
    UploadConflict,
    AlreadyDownloaded,
    LinkExpired,
    UploadTooLarge,
)
_BEGIN_BODY = _body("UploadRequest", "What file is to come; empty for the upload that was begun.", required=False)
_PRESIGN = ("Presigned URLs for parts of the upload",)
_PRESIGNED = {"200": json_response("Where to send the parts", "PresignedParts")}
_PRESIGN_ERRORS = (InvalidRequest, JobNotFound, UploadNotFound, UploadNotAwaited, AlreadyDownloaded, LinkExpired)
_PRESIGN_BODY = _body("PartsRequest", "Which parts.", required=True)
_COMPLETE = ("Make one file of the parts; may be repeated",)
_COMPLETED = {"200": json_response("The job", "Job")}
_COMPLETE_ERRORS = (
    InvalidRequest,
    JobNotFound,
    UploadNotFound,
    UploadIncomplete,
    UploadConflict,
    AlreadyDownloaded,
    LinkExpired,
)
_COMPLETE_BODY = _body("CompleteRequest", "The parts that were sent; empty to take what is there.", required=False)
_ABORT = ("Give the upload in parts up",)
_ABORTED = {"204": {"description": "The parts are gone"}}


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
                    **problems(InvalidRequest, UploadTooLarge, IdempotencyKeyReused),
                },
                parameters=[
                    parameter(
                        "header",
                        IDEMPOTENCY_KEY,
                        "Your own name for this call. The same call with the same key finds the job that it made "
                        "before, for as long as there is a record of it, with a further link while one is of use. "
                        "Keys of other callers are others.",
                        {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": MAX_JOB_KEY_CHARACTERS,
                            "pattern": f"^{JOB_KEY_PATTERN}$",
                        },
                        "4d6e3c0a-5b1f-4c39-9a57-2f8e1d7b6a90",
                    )
                ],
                **_body(
                    "JobRequest",
                    "The file to be uploaded and the MP3 wanted. Only `filename` is required.",
                    required=True,
                ),
            ),
            "get": signed_call(
                "listJobs",
                "List the jobs of a direct upload, of a reference or in a state, newest first",
                {"200": json_response("A page of jobs", "JobList"), **problems(InvalidRequest)},
                parameters=[
                    parameter(
                        "query",
                        "upload_key",
                        "The key in the upload bucket. One of `upload_key`, `reference` and `status` is needed.",
                        {"type": "string", "minLength": 1},
                        "any/key.wav",
                    ),
                    parameter(
                        "query",
                        "reference",
                        "The reference that the jobs were made with. Not together with `upload_key`.",
                        {"type": "string", "minLength": 1, "maxLength": MAX_REFERENCE_CHARACTERS},
                        REFERENCE,
                    ),
                    parameter(
                        "query",
                        "status",
                        "The state of the jobs: alone, or to leave out those of a page that are in another one. "
                        "Then a page may have fewer jobs than `limit`, and still a `next_token`.",
                        {"type": "string", "enum": [str(status) for status in Status]},
                        "ready",
                    ),
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
        "/jobs/{id}/upload": {
            "parameters": [job_id],
            "post": signed_call("beginUpload", *_BEGIN, {**_BEGUN, **problems(*_BEGIN_ERRORS)}, **_BEGIN_BODY),
            "delete": signed_call("abortUpload", *_ABORT, {**_ABORTED, **problems(JobNotFound)}),
        },
        "/jobs/{id}/upload/parts": {
            "parameters": [job_id],
            "post": signed_call(
                "presignParts", *_PRESIGN, {**_PRESIGNED, **problems(*_PRESIGN_ERRORS)}, **_PRESIGN_BODY
            ),
        },
        "/jobs/{id}/upload/complete": {
            "parameters": [job_id],
            "post": signed_call(
                "completeUpload", *_COMPLETE, {**_COMPLETED, **problems(*_COMPLETE_ERRORS)}, **_COMPLETE_BODY
            ),
        },
        "/d/{token}/upload": {
            "parameters": [token],
            "post": open_call(
                "beginUploadByLink", *_BEGIN, {**_BEGUN, **problems_or_page(*_BEGIN_ERRORS)}, **_BEGIN_BODY
            ),
            "delete": open_call("abortUploadByLink", *_ABORT, {**_ABORTED, **problems_or_page(JobNotFound)}),
        },
        "/d/{token}/upload/parts": {
            "parameters": [token],
            "post": open_call(
                "presignPartsByLink", *_PRESIGN, {**_PRESIGNED, **problems_or_page(*_PRESIGN_ERRORS)}, **_PRESIGN_BODY
            ),
        },
        "/d/{token}/upload/complete": {
            "parameters": [token],
            "post": open_call(
                "completeUploadByLink",
                *_COMPLETE,
                {**_COMPLETED, **problems_or_page(*_COMPLETE_ERRORS)},
                **_COMPLETE_BODY,
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
                "Claim the result. This uses up the link. The page's forms delete by a field",
                {
                    "200": or_page(
                        json_response("The job and the URL of its MP3, if `Prefer` asks for it", "ClaimedJob")
                    ),
                    "204": {"description": "Deleted, as the form asked for"},
                    "303": {
                        "description": "Redirect to a short-lived presigned URL of the MP3; after a form's deletion, "
                        "back to the page",
                        "headers": {
                            "Location": {
                                "required": True,
                                "description": "The URL of the MP3. It works until the download window ends.",
                                "schema": {"type": "string", "format": "uri-reference"},
                                "example": PRESIGNED_DOWNLOAD,
                            }
                        },
                    },
                    **problems_or_page(
                        InvalidRequest,
                        CrossOriginClaim,
                        PassphraseRequired,
                        WrongPassphrase,
                        LinkLocked,
                        JobNotFound,
                        JobNotReady,
                        AlreadyDownloaded,
                        LinkExpired,
                    ),
                },
                **_claim_body(),
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
