"""What is sent and answered, as JSON Schema."""

from __future__ import annotations

from api.contract.errors import ERRORS
from api.contract.examples import EXAMPLES, LINK, PAGE_TOKEN, PART_BYTES, PASSPHRASE, REFERENCE, SOURCE, UPLOAD, Schema
from api.contract.parts import nullable, object_schema, optional, reference, timestamp, timestamp_or_null
from api.requests import (
    CONFIRMED_FIELD,
    KEY_PATTERN,
    MAX_FILENAME_CHARACTERS,
    MAX_KEY_CHARACTERS,
    MAX_PRESIGNED_PARTS,
    METHOD_FIELD,
    MIN_KEY_CHARACTERS,
)
from audiojobs.conversion import BIT_RATES, DEFAULT_BIT_RATE, DEFAULT_SAMPLE_RATE
from audiojobs.errors import InvalidRequest
from audiojobs.job import Status
from audiojobs.multipart import MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES
from audiojobs.passphrases import MAX_PASSPHRASE_CHARACTERS, MIN_PASSPHRASE_CHARACTERS
from audiojobs.references import MAX_REFERENCE_CHARACTERS

_STATES = {
    Status.AWAITING_UPLOAD: "waits for its file",
    Status.PROCESSING: "the file is being converted",
    Status.READY: "the result waits for its download",
    Status.CLAIMED: "the link has been used, and the download window is open",
    Status.PURGED: "upload and result are deleted",
    Status.FAILED: "`error` says why",
    Status.EXPIRED: "nobody uploaded or downloaded the file in time",
}

_NOTICE = {
    "code": {
        "type": "string",
        "description": "Stable code: one of ErrorCode, or of a warning such as `decode-errors`.",
    },
    "detail": {"type": "string", "description": "A sentence for people."},
}


def schemas() -> Schema:
    """Every schema with its whole example, and every field with its part of it."""
    found = _bare_schemas()
    for name, schema in found.items():
        if "properties" in schema:
            schema["properties"] = {
                field: {**value, "examples": value.get("examples") or [EXAMPLES[name][field]]}
                for field, value in schema["properties"].items()
            }
        if name in EXAMPLES:
            schema["examples"] = [EXAMPLES[name]]
    return found


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
        "reference": {
            "type": ["string", "null"],
            "description": "The caller's own name for the job. Whoever has the link sees it, too.",
            "examples": [REFERENCE, None],
        },
        "created_at": timestamp("When the job was created, in UTC."),
        "updated_at": timestamp("When the job last changed, in UTC."),
        "expires_at": timestamp("From this moment on the link does not work."),
        "claimed_at": timestamp_or_null("When the link was used."),
        "deleted_at": timestamp_or_null("When it was seen that upload and result are gone."),
        "progress": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "The part of the conversion that is done.",
        },
        "warnings": {
            "type": "array",
            "items": reference("Notice"),
            "description": "What the owner of the file should know about the result.",
            "examples": [[EXAMPLES["Notice"]]],
        },
        "error": nullable("Notice", "Why the job failed; otherwise null."),
        "source": nullable("Source", "The uploaded file; null until it has been read."),
        "result": nullable("Result", "The MP3; null until it is ready."),
    }
    upload = {**reference("Upload"), "description": "How to upload the file.", "examples": [UPLOAD]}
    link = {"type": "string", "format": "uri", "description": "The one-time link.", "examples": [LINK]}
    return {
        "JobRequest": {
            "type": "object",
            "description": "The file to be uploaded and the MP3 wanted.",
            "required": ["filename"],
            "additionalProperties": False,
            "properties": {
                "filename": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAX_FILENAME_CHARACTERS,
                    "description": "The name of the file. The download is named after it.",
                },
                "reference": optional(
                    "string",
                    "Your own name for the job: it is in the job and its events, and `GET /jobs` finds it. "
                    "No control characters.",
                    minLength=1,
                    maxLength=MAX_REFERENCE_CHARACTERS,
                ),
                "passphrase": optional(
                    "string",
                    "What the claim needs beside the link. Tell it to the receiver on another way than the link. "
                    "No control characters. It is stored as a slow hash, and shown nowhere.",
                    minLength=MIN_PASSPHRASE_CHARACTERS,
                    maxLength=MAX_PASSPHRASE_CHARACTERS,
                    examples=[PASSPHRASE],
                ),
                "size_bytes": optional(
                    "integer",
                    "Size of the file in bytes. S3 then accepts no other size.",
                    minimum=1,
                    examples=[SOURCE["size_bytes"]],
                ),
                "sample_rate": optional(
                    "integer",
                    "In Hz.",
                    enum=[*sorted(BIT_RATES), None],
                    default=DEFAULT_SAMPLE_RATE,
                    examples=[DEFAULT_SAMPLE_RATE],
                ),
                "bit_rate": optional(
                    "integer",
                    f"Constant bit rate in bit/s. MP3 must have it at the sample rate. Default: {DEFAULT_BIT_RATE}, "
                    "or the highest bit rate below that exists at the sample rate.",
                    enum=[*sorted({rate for rates in BIT_RATES.values() for rate in rates}), None],
                ),
                "vbr_quality": optional(
                    "integer",
                    "Variable bit rate instead of `bit_rate`: 0 (best) to 9 (smallest).",
                    minimum=0,
                    maximum=9,
                    examples=[2],
                ),
                "channels": optional(
                    "integer", "Default: as in the source, at most 2.", enum=[1, 2, None], examples=[2]
                ),
                "allow_partial": optional(
                    "boolean",
                    "Convert what a truncated or damaged file still contains, with a warning.",
                    default=False,
                    examples=[True],
                ),
            },
        },
        "ClaimRequest": {
            "type": "object",
            "description": "What a claim brings.",
            "additionalProperties": False,
            "properties": {
                "passphrase": optional(
                    "string",
                    "The job's passphrase, where it has one.",
                    minLength=1,
                    maxLength=MAX_PASSPHRASE_CHARACTERS,
                )
            },
        },
        "ClaimForm": {
            "type": "object",
            "description": "What a claim brings, as a form sends it. Forms can only GET and POST, so one deletes, too.",
            "properties": {
                METHOD_FIELD: {
                    "type": "string",
                    "enum": ["POST", "DELETE"],
                    "default": "POST",
                    "description": "`DELETE` deletes upload and result now.",
                    "examples": ["POST"],
                },
                CONFIRMED_FIELD: {
                    "type": "string",
                    "description": "Without it, a browser that deletes is asked first, by a page.",
                    "examples": ["yes"],
                },
                "passphrase": {
                    "type": "string",
                    "minLength": 0,
                    "maxLength": MAX_PASSPHRASE_CHARACTERS,
                    "description": "The job's passphrase, where it has one.",
                },
            },
        },
        "Job": object_schema(job, "One file and its conversion."),
        "CreatedJob": object_schema(
            {
                **job,
                "link": {
                    **link,
                    "type": ["string", "null"],
                    "description": "The one-time link. Null only where a repeated call finds a job that is over.",
                },
                "upload": {
                    **nullable(
                        "Upload",
                        "How to upload the file. Null only where a repeated call finds a job that has its file.",
                    )
                },
            },
            "A new job, or the one that the same `Idempotency-Key` made before.",
        ),
        "SeenJob": {
            **object_schema(job, "A job, seen through its link."),
            "properties": {
                **job,
                "upload": {**upload, "description": "A fresh upload URL, only while the job waits for its file."},
                "passphrase_required": {
                    "type": "boolean",
                    "description": "True where the claim needs a passphrase; otherwise not there.",
                    "examples": [True],
                },
            },
        },
        "ClaimedJob": object_schema(
            {**job, "download": {**reference("Download"), "description": "How to download the MP3."}},
            "A claimed job.",
        ),
        "LinkedJob": object_schema({**job, "link": link}, "A job with its new link."),
        "JobList": object_schema(
            {
                "jobs": {"type": "array", "items": reference("Job"), "description": "Newest first."},
                "next_token": optional(
                    "string", "Get the next page with it; null on the last page.", examples=[PAGE_TOKEN]
                ),
            },
            "A page of jobs, newest first.",
        ),
        "Upload": object_schema(
            {
                "method": {"type": "string", "enum": ["PUT"], "description": "The HTTP method to send the file with."},
                "url": {
                    "type": "string",
                    "format": "uri",
                    "description": "Presigned: anybody with this URL can upload.",
                },
                "headers": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "Headers to send with the file. Often empty.",
                },
                "size_bytes": {
                    "type": ["integer", "null"],
                    "description": "The announced size in bytes, or null. S3 accepts no other size.",
                },
                "expires_at": timestamp("The upload must begin before this moment."),
            },
            "How to upload the file.",
        ),
        "UploadRequest": {
            "type": "object",
            "description": "A file that is to come in parts.",
            "additionalProperties": False,
            "properties": {
                "size_bytes": optional(
                    "integer", "Size of the whole file; needed unless the job has it already.", minimum=1
                ),
                "part_size_bytes": optional(
                    "integer",
                    "Size of every part but the last. Default: 5 MiB, or as much as makes 10,000 parts.",
                    minimum=MIN_PART_BYTES,
                    maximum=MAX_PART_BYTES,
                    examples=[PART_BYTES],
                ),
                "fingerprint": optional(
                    "string",
                    "A hash of the whole file, made by the caller. An upload that was begun with another is refused "
                    "with `upload-conflict`, so two files are never mixed.",
                    minLength=MIN_KEY_CHARACTERS,
                    maxLength=MAX_KEY_CHARACTERS,
                    pattern=f"^{KEY_PATTERN}$",
                ),
            },
        },
        "UploadInParts": object_schema(
            {
                "size_bytes": {"type": "integer", "description": "Of the whole file."},
                "part_size_bytes": {"type": "integer", "description": "Of every part but the last."},
                "part_count": {"type": "integer", "description": "How many parts the file has."},
                "parts": {
                    "type": "array",
                    "items": reference("Part"),
                    "description": "The parts that S3 holds; all of them, once the upload is complete.",
                },
                "expires_at": timestamp("The upload must be completed before."),
                "s3": {**reference("S3Upload"), "description": "For clients that speak S3's own multipart API."},
            },
            "An upload in parts, and how far it is.",
        ),
        "S3Upload": object_schema(
            {
                "key": {"type": "string", "description": "The key in the upload bucket."},
                "upload_id": {"type": "string", "description": "S3's id of the multipart upload."},
                "list": _presigned("ListParts"),
                "complete": _presigned("CompleteMultipartUpload"),
                "abort": _presigned("AbortMultipartUpload"),
            },
            "The upload as S3 knows it. Presigned: whoever has the addresses may call them.",
        ),
        "Part": object_schema(
            {
                "number": {"type": "integer", "description": "From 1 on."},
                "size_bytes": {"type": "integer", "description": "Of the part."},
                "etag": {"type": "string", "description": "What S3 answered to it: its MD5 in hexadecimal, in quotes."},
            },
            "A part that S3 holds.",
        ),
        "PartsRequest": {
            "type": "object",
            "description": "Parts to presign.",
            "required": ["numbers"],
            "additionalProperties": False,
            "properties": {
                "numbers": {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 1, "maximum": MAX_PARTS},
                    "minItems": 1,
                    "maxItems": MAX_PRESIGNED_PARTS,
                    "uniqueItems": True,
                    "description": "Numbers of parts, from 1 on.",
                }
            },
        },
        "PresignedParts": object_schema(
            {
                "parts": {
                    "type": "array",
                    "items": reference("PresignedPart"),
                    "description": "In the order of the numbers that were asked for.",
                },
                "expires_at": timestamp("The parts must begin before; ask again for those that did not."),
            },
            "Where to send parts.",
        ),
        "PresignedPart": object_schema(
            {
                "number": {"type": "integer", "description": "From 1 on."},
                "method": {"type": "string", "enum": ["PUT"], "description": "The HTTP method to send the part with."},
                "url": {
                    "type": "string",
                    "format": "uri",
                    "description": "Presigned: whoever has it may send the part.",
                },
                "headers": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "To be sent with the part, where there are any.",
                },
            },
            "Where to send a part.",
        ),
        "CompleteRequest": {
            "type": "object",
            "description": "The parts that the caller sent; optional.",
            "additionalProperties": False,
            "properties": {
                "parts": {
                    "type": ["array", "null"],
                    "maxItems": MAX_PARTS,
                    "items": {
                        "type": "object",
                        "required": ["number", "etag"],
                        "properties": {
                            "number": {"type": "integer", "description": "From 1 on."},
                            "etag": {"type": "string", "description": "What S3 answered to it."},
                        },
                    },
                    "description": "Where S3 holds another part under one of these numbers, nothing is completed.",
                }
            },
        },
        "Download": object_schema(
            {
                "url": {
                    "type": "string",
                    "format": "uri",
                    "description": "Presigned: anybody with this URL can download.",
                },
                "expires_at": timestamp("A download must begin before this moment. Then the file is deleted."),
            },
            "How to download the MP3.",
        ),
        "Source": object_schema(
            {
                "container": {"type": "string", "description": "The kind of file."},
                "codec": {"type": "string", "description": "The codec of the sound."},
                "sample_rate": {"type": "integer", "description": "In Hz."},
                "channels": {"type": "integer", "description": "Number of channels."},
                "duration_seconds": optional("number", "Null if the file does not tell."),
                "size_bytes": {"type": "integer", "description": "Size of the file."},
            },
            "The uploaded file, in the terms of ffprobe.",
        ),
        "Result": object_schema(
            {
                "sample_rate": {"type": "integer", "description": "In Hz."},
                "bit_rate": {"type": "integer", "description": "In bit/s. At a variable bit rate: the mean."},
                "channels": {"type": "integer", "description": "1 or 2."},
                "duration_seconds": {
                    "type": "number",
                    "description": "Length of the sound, without the padding of the encoder.",
                },
                "size_bytes": {"type": "integer", "description": "Size of the download."},
                "passthrough": {
                    "type": "boolean",
                    "description": "True if the upload already was what was asked for and comes back byte for byte.",
                },
            },
            "The MP3.",
        ),
        "Notice": {
            **object_schema(_NOTICE, "An error or a warning."),
            "properties": {
                **_NOTICE,
                "declared_seconds": {
                    "type": "number",
                    "description": "How long a file that ends early says it is, only where it says so exactly.",
                },
            },
        },
        "ErrorCode": {
            "type": "string",
            "description": "Stable code: the `type` of a problem document, and the `error.code` of a failed job.",
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
                "type": {**reference("ErrorCode"), "description": "The stable code."},
                "title": {
                    "type": "string",
                    "description": "What the code means. The same for every error with this code.",
                },
                "status": {"type": "integer", "description": "The HTTP status."},
                "detail": {"type": "string", "description": "A sentence for people about this error."},
                "field": {"type": "string", "description": "The field that is wrong."},
            },
        },
        "Refusal": object_schema(
            {
                "type": {"type": "string", "enum": ["request-refused", "internal-error"], "description": "Stable."},
                "title": {
                    "type": "string",
                    "description": "What the code means. The same for every error with this code.",
                },
                "detail": {"type": ["string", "null"], "description": "The message of API Gateway."},
            },
            "RFC 9457, answered by API Gateway itself, without the member `status`. "
            "A 500 can have this form, too, if no function was free.",
        ),
    }


def _presigned(operation: str) -> Schema:
    """A presigned call of S3's own multipart API."""
    return {
        "type": "object",
        "required": ["method", "url", "headers"],
        "properties": {
            "method": {"type": "string", "description": "The HTTP method."},
            "url": {"type": "string", "format": "uri", "description": "Where to."},
            "headers": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "To be sent with it, where there are any.",
            },
        },
        "description": f"S3's `{operation}`, presigned.",
    }
