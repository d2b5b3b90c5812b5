"""One whole document of each schema: what the examples of every call are made of."""

from __future__ import annotations

from typing import Any

from api.contract.errors import ERRORS
from api.responses import problem
from audiojobs.conversion import DEFAULT_BIT_RATE, DEFAULT_SAMPLE_RATE
from audiojobs.errors import InvalidRequest, TruncatedAudio

Schema = dict[str, Any]

JOB_ID = "0f8d3c1e5b7a49f2a6c4e8d0b1f3a597"
TOKEN = f"{JOB_ID}.hQhUQS1C-O2jYHboJuS2HrvlBe1maItiDLe_-AI1thQ"
LINK = f"https://api.example.com/v1/d/{TOKEN}"
PRESIGNED_UPLOAD = f"https://uploads.s3.us-east-1.amazonaws.com/jobs/{JOB_ID}?X-Amz-Signature=..."
PRESIGNED_DOWNLOAD = f"https://results.s3.us-east-1.amazonaws.com/jobs/{JOB_ID}.mp3?X-Amz-Signature=..."

SOURCE = {
    "container": "wav",
    "codec": "pcm_s16le",
    "sample_rate": 44100,
    "channels": 2,
    "duration_seconds": 181.2,
    "size_bytes": 31963724,
}
RESULT = {
    "sample_rate": DEFAULT_SAMPLE_RATE,
    "bit_rate": DEFAULT_BIT_RATE,
    "channels": 2,
    "duration_seconds": 181.2,
    "size_bytes": 4348800,
    "passthrough": False,
}
NEW_JOB: Schema = {
    "id": JOB_ID,
    "status": "awaiting-upload",
    "filename": "song.wav",
    "reference": None,
    "created_at": "2026-01-31T12:00:00Z",
    "updated_at": "2026-01-31T12:00:00Z",
    "expires_at": "2026-02-01T12:00:00Z",
    "claimed_at": None,
    "deleted_at": None,
    "progress": 0.0,
    "warnings": [],
    "error": None,
    "source": None,
    "result": None,
}
READY_JOB = {
    **NEW_JOB,
    "status": "ready",
    "updated_at": "2026-01-31T12:00:30Z",
    "expires_at": "2026-02-01T12:00:30Z",
    "progress": 1.0,
    "source": SOURCE,
    "result": RESULT,
}
UPLOAD: Schema = {
    "method": "PUT",
    "url": PRESIGNED_UPLOAD,
    "headers": {},
    "size_bytes": None,
    "expires_at": "2026-01-31T13:00:00Z",
}
PART_BYTES = 5_242_880
PART_URL = f"https://uploads.s3.us-east-1.amazonaws.com/jobs/{JOB_ID}?partNumber=2&uploadId=...&X-Amz-Signature=..."
FINGERPRINT = "sha256-2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
SENT_PART = {"number": 1, "size_bytes": PART_BYTES, "etag": '"5d41402abc4b2a76b9719d911017c592"'}
UPLOAD_ID = "VXBsb2FkIElEIGZvciA2aWWpbmcncyBteS1tb3ZpZS5tMnRzIHVwbG9hZA"
_S3_URL = f"https://uploads.s3.us-east-1.amazonaws.com/jobs/{JOB_ID}?uploadId={UPLOAD_ID}&X-Amz-Signature=..."
S3_UPLOAD = {
    "key": f"jobs/{JOB_ID}",
    "upload_id": UPLOAD_ID,
    "list": {"method": "GET", "url": _S3_URL, "headers": {}},
    "complete": {"method": "POST", "url": _S3_URL, "headers": {}},
    "abort": {"method": "DELETE", "url": _S3_URL, "headers": {}},
}
DOWNLOAD = {"url": PRESIGNED_DOWNLOAD, "expires_at": "2026-01-31T12:06:00Z"}
CLAIMED_JOB = {
    **READY_JOB,
    "status": "claimed",
    "updated_at": "2026-01-31T12:01:00Z",
    "claimed_at": "2026-01-31T12:01:00Z",
    "download": DOWNLOAD,
}
REFERENCE = "order 4711"
PASSPHRASE = "three blue geese"  # noqa: S105 - an example
PAGE_TOKEN = "eyJpZCI6Li4ufQ"  # noqa: S105 - of a list's next page
REFUSAL = {
    "type": "request-refused",
    "title": "The request was refused",
    "detail": "Missing Authentication Token",
}

EXAMPLES: Schema = {
    "UploadRequest": {"size_bytes": SOURCE["size_bytes"], "fingerprint": FINGERPRINT},
    "UploadInParts": {
        "size_bytes": SOURCE["size_bytes"],
        "part_size_bytes": PART_BYTES,
        "part_count": 7,
        "parts": [SENT_PART],
        "expires_at": "2026-02-01T12:00:00Z",
        "s3": S3_UPLOAD,
    },
    "S3Upload": S3_UPLOAD,
    "Part": SENT_PART,
    "PartsRequest": {"numbers": [2]},
    "PresignedParts": {
        "parts": [{"number": 2, "method": "PUT", "url": PART_URL, "headers": {}}],
        "expires_at": "2026-01-31T13:00:00Z",
    },
    "PresignedPart": {"number": 2, "method": "PUT", "url": PART_URL, "headers": {}},
    "CompleteRequest": {"parts": [{"number": 1, "etag": SENT_PART["etag"]}]},
    "ClaimRequest": {"passphrase": PASSPHRASE},
    "ClaimForm": {"_method": "POST", "confirmed": "yes", "passphrase": PASSPHRASE},
    "JobRequest": {"filename": "song.wav", "bit_rate": 128000, "reference": REFERENCE},
    "Job": READY_JOB,
    "CreatedJob": {**NEW_JOB, "upload": UPLOAD, "link": LINK},
    "SeenJob": READY_JOB,
    "ClaimedJob": CLAIMED_JOB,
    "LinkedJob": {**READY_JOB, "link": LINK},
    "JobList": {"jobs": [READY_JOB], "next_token": None},
    "Upload": UPLOAD,
    "Download": DOWNLOAD,
    "Source": SOURCE,
    "Result": RESULT,
    "Notice": {"code": TruncatedAudio.code, "detail": TruncatedAudio().detail, "declared_seconds": 60.0},
    "Problem": problem(ERRORS[InvalidRequest][1]),
    "Refusal": REFUSAL,
}
"""One whole document of each schema."""
