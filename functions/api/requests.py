"""What callers send, checked: every complaint names its field."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audiojobs.conversion import OPTION_NAMES, Conversion
from audiojobs.errors import InvalidRequest
from audiojobs.filenames import is_harmless

MAX_FILENAME_CHARACTERS = 255
MAX_LISTED_JOBS = 100
DEFAULT_LISTED_JOBS = 20

IDEMPOTENCY_KEY = "Idempotency-Key"
MIN_KEY_CHARACTERS = 8
MAX_KEY_CHARACTERS = 128
KEY_PATTERN = f"[!-~]{{{MIN_KEY_CHARACTERS},{MAX_KEY_CHARACTERS}}}"

JOB_FIELDS = ("filename", "size_bytes", *OPTION_NAMES)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """The body of ``POST /jobs``. ``filename`` has no folders; ``size_bytes`` is that of the file to come."""

    filename: str
    size_bytes: int | None
    conversion: Conversion


def parse_job_request(body: str | None, *, is_base64: bool = False) -> JobRequest:
    """Read a JSON body. Raises :class:`~audiojobs.errors.InvalidRequest`."""
    try:
        values = json.loads(base64.b64decode(body or "") if is_base64 else body or "")
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidRequest("The body must be JSON.") from error
    if not isinstance(values, dict):
        raise InvalidRequest("The body must be a JSON object.")
    for name in values:
        if name not in JOB_FIELDS:
            raise InvalidRequest(
                f"{name[:100]} is not a field of a job. Fields: {', '.join(JOB_FIELDS)}.", field=name[:100]
            )
    return JobRequest(_filename(values), _size_bytes(values), Conversion.from_json(values))


def parse_limit(text: str | None) -> int:
    """How many jobs a page of a list has. Raises :class:`~audiojobs.errors.InvalidRequest`."""
    if text is None:
        return DEFAULT_LISTED_JOBS
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and 1 <= int(text) <= MAX_LISTED_JOBS):
        raise InvalidRequest(f"limit must be from 1 to {MAX_LISTED_JOBS}.", field="limit")
    return int(text)


def parse_upload_key(text: str | None) -> str:
    """Raises :class:`~audiojobs.errors.InvalidRequest` where there is none."""
    if not text:
        raise InvalidRequest("upload_key is required: the key of a direct upload.", field="upload_key")
    if len(text.encode(errors="replace")) > 1024:
        raise InvalidRequest("upload_key may have at most 1024 bytes.", field="upload_key")
    return text


def parse_idempotency_key(text: str | None) -> str | None:
    """The name that a client gives to its claim. Raises :class:`~audiojobs.errors.InvalidRequest`."""
    if text is not None and not re.fullmatch(KEY_PATTERN, text):
        raise InvalidRequest(
            f"{IDEMPOTENCY_KEY} must have {MIN_KEY_CHARACTERS} to {MAX_KEY_CHARACTERS} characters of ASCII, no spaces.",
            field=IDEMPOTENCY_KEY,
        )
    return text


def _filename(values: Mapping[str, Any]) -> str:
    given = values.get("filename")
    if not isinstance(given, str):
        raise InvalidRequest("filename is required: the name of the file to be uploaded.", field="filename")
    name = given.replace("\\", "/").rpartition("/")[2].strip()
    if not name or len(given) > MAX_FILENAME_CHARACTERS or not all(map(is_harmless, name)):
        raise InvalidRequest(
            f"filename must have 1 to {MAX_FILENAME_CHARACTERS} characters, and no control characters.",
            field="filename",
        )
    return name


def _size_bytes(values: Mapping[str, Any]) -> int | None:
    size = values.get("size_bytes")
    if size is None:
        return None
    if type(size) is not int or size < 1:
        raise InvalidRequest("size_bytes must be a whole number, 1 or more.", field="size_bytes")
    return size
