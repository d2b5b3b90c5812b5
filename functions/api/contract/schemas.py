"""What is sent and answered, as JSON Schema."""

from __future__ import annotations

from api.contract.errors import ERRORS
from api.contract.examples import EXAMPLES, LINK, PAGE_TOKEN, SOURCE, UPLOAD, Schema
from api.contract.parts import nullable, object_schema, optional, reference, timestamp
from api.requests import MAX_FILENAME_CHARACTERS
from audiojobs.conversion import BIT_RATES, DEFAULT_BIT_RATE, DEFAULT_SAMPLE_RATE
from audiojobs.errors import InvalidRequest
from audiojobs.job import Status

_STATES = {
    Status.AWAITING_UPLOAD: "the link is there, the file is not yet",
    Status.PROCESSING: "the file is being resampled",
    Status.READY: "the result waits for its one download",
    Status.CLAIMED: "the link is spent, the download window is open",
    Status.PURGED: "upload and result are deleted",
    Status.FAILED: "`error` says why",
    Status.EXPIRED: "nobody came in time",
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
        "created_at": timestamp("When the job was made, in UTC."),
        "updated_at": timestamp("When the job last changed, in UTC."),
        "expires_at": timestamp("From then on the link is dead."),
        "progress": {"type": "number", "minimum": 0, "maximum": 1, "description": "How much of the work is done."},
        "warnings": {
            "type": "array",
            "items": reference("Notice"),
            "description": "What the file's owner should know of a result that is there all the same.",
            "examples": [[EXAMPLES["Notice"]]],
        },
        "error": nullable("Notice", "Why the job failed; null unless it did."),
        "source": nullable("Source", "What was uploaded; null until it was looked at."),
        "result": nullable("Result", "What came out; null until it is there."),
    }
    upload = {**reference("Upload"), "description": "How to upload the file.", "examples": [UPLOAD]}
    link = {"type": "string", "format": "uri", "description": "The one-time link.", "examples": [LINK]}
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
                "size_bytes": optional(
                    "integer", "Size of the file; S3 then takes no other.", minimum=1, examples=[SOURCE["size_bytes"]]
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
                    f"Constant bit rate in bit/s, one that MP3 has at the sample rate. Without it: {DEFAULT_BIT_RATE}, "
                    "or the highest below that the sample rate has.",
                    enum=[*sorted({rate for rates in BIT_RATES.values() for rate in rates}), None],
                ),
                "vbr_quality": optional(
                    "integer",
                    "Variable bit rate, 0 (best) to 9 (smallest), instead of bit_rate.",
                    minimum=0,
                    maximum=9,
                    examples=[2],
                ),
                "channels": optional("integer", "Default: as the source, at most 2.", enum=[1, 2, None], examples=[2]),
                "allow_partial": optional("boolean", "Take what a truncated file has.", default=False, examples=[True]),
            },
        },
        "Job": object_schema(job, "One file on its way."),
        "CreatedJob": object_schema({**job, "link": link, "upload": upload}, "A new job."),
        "SeenJob": {
            **object_schema(job, "A job behind its link."),
            "properties": {**job, "upload": {**upload, "description": "Only while the job awaits its upload."}},
        },
        "ClaimedJob": object_schema(
            {**job, "download": {**reference("Download"), "description": "Where the MP3 is."}},
            "A job whose link is spent.",
        ),
        "LinkedJob": object_schema({**job, "link": link}, "A job with its fresh link."),
        "JobList": object_schema(
            {
                "jobs": {"type": "array", "items": reference("Job"), "description": "Newest first."},
                "next_token": optional("string", "Gives the next page; null on the last one.", examples=[PAGE_TOKEN]),
            },
            "A page of jobs, newest first.",
        ),
        "Upload": object_schema(
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
                "expires_at": timestamp("The upload must begin before."),
            },
            "How to upload the file.",
        ),
        "Download": object_schema(
            {
                "url": {"type": "string", "format": "uri", "description": "Presigned: whoever has it may download."},
                "expires_at": timestamp("A download must begin before; then the file is deleted."),
            },
            "Where the MP3 is.",
        ),
        "Source": object_schema(
            {
                "container": {"type": "string", "description": "The kind of file."},
                "codec": {"type": "string", "description": "How the sound is coded in it."},
                "sample_rate": {"type": "integer", "description": "In Hz."},
                "channels": {"type": "integer", "description": "How many."},
                "duration_seconds": optional("number", "Null where the file does not tell."),
                "size_bytes": {"type": "integer", "description": "Of the whole file."},
            },
            "What was uploaded, in ffprobe's terms.",
        ),
        "Result": object_schema(
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
        "Notice": object_schema(
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
                "type": {**reference("ErrorCode"), "description": "The stable code."},
                "title": {"type": "string", "description": "What the code means, always the same."},
                "status": {"type": "integer", "description": "That of the answer."},
                "detail": {"type": "string", "description": "A sentence for people about this very case."},
                "field": {"type": "string", "description": "The part of the request at fault."},
            },
        },
        "Refusal": object_schema(
            {
                "type": {"type": "string", "enum": ["request-refused", "internal-error"], "description": "Stable."},
                "title": {"type": "string", "description": "What the code means, always the same."},
                "detail": {"type": ["string", "null"], "description": "API Gateway's own words."},
            },
            "RFC 9457, from API Gateway itself, which can't name the status a second time. "
            "A 500 can be one too, where no function was free.",
        ),
    }
