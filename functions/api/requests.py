"""What callers send, checked: every complaint names its field."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from audiojobs.conversion import OPTION_NAMES, Conversion
from audiojobs.errors import InvalidRequest
from audiojobs.filenames import is_harmless
from audiojobs.job import Status
from audiojobs.multipart import MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES
from audiojobs.passphrases import MAX_PASSPHRASE_CHARACTERS, MIN_PASSPHRASE_CHARACTERS
from audiojobs.references import MAX_REFERENCE_CHARACTERS

MAX_FILENAME_CHARACTERS = 255
MAX_LISTED_JOBS = 100
DEFAULT_LISTED_JOBS = 20

IDEMPOTENCY_KEY = "Idempotency-Key"
MIN_KEY_CHARACTERS = 8
MAX_KEY_CHARACTERS = 128
KEY_PATTERN = f"[!-~]{{{MIN_KEY_CHARACTERS},{MAX_KEY_CHARACTERS}}}"
MAX_JOB_KEY_CHARACTERS = 255
JOB_KEY_PATTERN = f"[!-~]{{1,{MAX_JOB_KEY_CHARACTERS}}}"

MAX_PRESIGNED_PARTS = 100
MAX_FORM_FIELDS = 20

# Of the forms of the page.
METHOD_FIELD = "_method"
CONFIRMED_FIELD = "confirmed"
ANOTHER_FIELD = "another"
SENT_FIELD = "sent"

UPLOAD_FIELDS = ("size_bytes", "part_size_bytes", "fingerprint")
JOB_FIELDS = ("filename", "reference", "passphrase", "size_bytes", *OPTION_NAMES)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """The body of ``POST /jobs``. ``filename`` has no folders; ``size_bytes`` is that of the file to come."""

    filename: str
    size_bytes: int | None
    conversion: Conversion
    reference: str | None = None
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs are to be listed: those of an upload key, of a reference or in a state; a state may narrow a list."""

    upload_key: str | None = None
    reference: str | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """The body of ``POST .../upload``: what file is to come in parts. Sizes are in bytes."""

    size_bytes: int | None
    part_size_bytes: int | None
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class PartsRequest:
    """The body of ``POST .../upload/parts``: which parts to presign, by number from 1 on."""

    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part as its sender knows it: the ETag is what S3 answered to it."""

    number: int
    etag: str


def parse_upload_request(body: str | None, *, is_base64: bool = False) -> UploadRequest:
    """An empty body asks for the upload that was begun. Raises :class:`~audiojobs.errors.InvalidRequest`."""
    values = _json_object(body or "{}", UPLOAD_FIELDS, is_base64=is_base64 and bool(body))
    fingerprint = values.get("fingerprint")
    if fingerprint is not None and not (isinstance(fingerprint, str) and re.fullmatch(KEY_PATTERN, fingerprint)):
        raise InvalidRequest(
            f"fingerprint must have {MIN_KEY_CHARACTERS} to {MAX_KEY_CHARACTERS} characters of ASCII, no spaces.",
            field="fingerprint",
        )
    part_size = _whole_number(values, "part_size_bytes", MIN_PART_BYTES, MAX_PART_BYTES)
    return UploadRequest(_size_bytes(values), part_size, fingerprint)


def parse_parts_request(body: str | None, *, is_base64: bool = False) -> PartsRequest:
    """Raises :class:`~audiojobs.errors.InvalidRequest`."""
    numbers = _json_object(body, ("numbers",), is_base64=is_base64).get("numbers")
    if (
        not isinstance(numbers, list)
        or not 1 <= len(numbers) <= MAX_PRESIGNED_PARTS
        or not all(type(number) is int and 1 <= number <= MAX_PARTS for number in numbers)
        or len(set(numbers)) < len(numbers)
    ):
        raise InvalidRequest(
            f"numbers must be a list of 1 to {MAX_PRESIGNED_PARTS} different numbers of parts, from 1 on.",
            field="numbers",
        )
    return PartsRequest(numbers)


def parse_sent_parts(body: str | None, *, is_base64: bool = False) -> Sequence[SentPart]:
    """The parts that a caller says it sent; none where it does not tell.

    Raises :class:`~audiojobs.errors.InvalidRequest`.
    """
    if not body:
        return ()
    parts = _json_object(body, ("parts",), is_base64=is_base64).get("parts") or []
    if not isinstance(parts, list) or len(parts) > MAX_PARTS or not all(map(_is_sent_part, parts)):
        raise InvalidRequest("parts must be a list of objects with a number and an etag.", field="parts")
    return [SentPart(part["number"], part["etag"]) for part in parts]


def _is_sent_part(value: Any) -> bool:
    return isinstance(value, dict) and type(value.get("number")) is int and isinstance(value.get("etag"), str)


def parse_job_request(body: str | None, *, is_base64: bool = False) -> JobRequest:
    """Read a JSON body. Raises :class:`~audiojobs.errors.InvalidRequest`."""
    values = _json_object(body, JOB_FIELDS, is_base64=is_base64)
    reference = values.get("reference")
    return JobRequest(
        _filename(values),
        _size_bytes(values),
        Conversion.from_json(values),
        None if reference is None else _reference(reference),
        _new_passphrase(values),
    )


def parse_passphrase(body: str | None, *, is_base64: bool = False, content_type: str | None = None) -> str | None:
    """What a claim brings: a JSON object, or the field of a form. Raises :class:`~audiojobs.errors.InvalidRequest`.

    ``curl -d`` calls a JSON object a form.
    """
    try:
        text = base64.b64decode(body or "").decode() if is_base64 else body or ""
        is_json = text.lstrip()[:1] in ("{", "[") or "json" in (content_type or "")
        form = {} if is_json else parse_qs(text, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except ValueError as error:
        raise InvalidRequest("The body must be JSON or a form.") from error
    given: Any = None
    if text and is_json:
        given = _json_object(text, ("passphrase",), is_base64=False).get("passphrase")
        if given == "":
            raise InvalidRequest("passphrase must not be empty.", field="passphrase")
    elif fields := form.get("passphrase"):
        given = fields[0] if len(fields) == 1 else fields
    if given is not None and (not isinstance(given, str) or len(given) > MAX_PASSPHRASE_CHARACTERS):
        raise InvalidRequest(
            f"passphrase must be a text of at most {MAX_PASSPHRASE_CHARACTERS} characters.", field="passphrase"
        )
    return given or None


def parse_limit(text: str | None) -> int:
    """How many jobs a page of a list has. Raises :class:`~audiojobs.errors.InvalidRequest`."""
    if text is None:
        return DEFAULT_LISTED_JOBS
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and 1 <= int(text) <= MAX_LISTED_JOBS):
        raise InvalidRequest(f"limit must be from 1 to {MAX_LISTED_JOBS}.", field="limit")
    return int(text)


def parse_job_query(parameters: Mapping[str, str]) -> JobQuery:
    """Raises :class:`~audiojobs.errors.InvalidRequest` where it does not say which jobs."""
    upload_key, reference, status = (parameters.get(name) for name in ("upload_key", "reference", "status"))
    if upload_key is None and reference is None and status is None:
        raise InvalidRequest("Say which jobs: give upload_key, reference or status.", field="upload_key")
    if upload_key is not None and reference is not None:
        raise InvalidRequest("Give upload_key or reference, not both.", field="reference")
    if upload_key is not None and not 1 <= len(upload_key.encode(errors="replace")) <= 1024:
        raise InvalidRequest("upload_key must have 1 to 1024 bytes.", field="upload_key")
    if status is not None and status not in list(Status):
        raise InvalidRequest(f"status must be one of {', '.join(Status)}.", field="status")
    return JobQuery(
        upload_key, None if reference is None else _reference(reference), None if status is None else Status(status)
    )


def parse_job_key(text: str | None) -> str | None:
    """The name that a caller gives to a job that it makes. Raises :class:`~audiojobs.errors.InvalidRequest`."""
    if text is not None and not re.fullmatch(JOB_KEY_PATTERN, text):
        raise InvalidRequest(
            f"{IDEMPOTENCY_KEY} must have 1 to {MAX_JOB_KEY_CHARACTERS} characters of ASCII, no spaces.",
            field=IDEMPOTENCY_KEY,
        )
    return text


def parse_claim_key(text: str | None) -> str | None:
    """The name that a client gives to its claim. Raises :class:`~audiojobs.errors.InvalidRequest`."""
    if text is not None and not re.fullmatch(KEY_PATTERN, text):
        raise InvalidRequest(
            f"{IDEMPOTENCY_KEY} must have {MIN_KEY_CHARACTERS} to {MAX_KEY_CHARACTERS} characters of ASCII, no spaces.",
            field=IDEMPOTENCY_KEY,
        )
    return text


def parse_form(body: str | None, *, content_type: str | None, is_base64: bool = False) -> Mapping[str, str]:
    """The fields of a form, of those that are named twice the first; none where the body is no form."""
    if not body or (content_type or "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return {}
    try:
        text = base64.b64decode(body).decode() if is_base64 else body
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except ValueError as error:
        raise InvalidRequest("The body must be a form.") from error
    return dict(reversed(fields))


def _json_object(body: str | None, known: Sequence[str], *, is_base64: bool) -> Mapping[str, Any]:
    """A JSON object that has no other fields than the known ones."""
    try:
        values = json.loads(base64.b64decode(body or "") if is_base64 else body or "")
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidRequest("The body must be JSON.") from error
    if not isinstance(values, dict):
        raise InvalidRequest("The body must be a JSON object.")
    for name in values:
        if name not in known:
            raise InvalidRequest(f"{name[:100]} is not a known field. Fields: {', '.join(known)}.", field=name[:100])
    return values


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


def _new_passphrase(values: Mapping[str, Any]) -> str | None:
    given = values.get("passphrase")
    if given is None:
        return None
    if (
        not isinstance(given, str)
        or not MIN_PASSPHRASE_CHARACTERS <= len(given) <= MAX_PASSPHRASE_CHARACTERS
        or not all(map(is_harmless, given))
    ):
        raise InvalidRequest(
            f"passphrase must have {MIN_PASSPHRASE_CHARACTERS} to {MAX_PASSPHRASE_CHARACTERS} characters, "
            "and no control characters.",
            field="passphrase",
        )
    return given


def _reference(given: Any) -> str:
    if (
        not isinstance(given, str)
        or not 1 <= len(given) <= MAX_REFERENCE_CHARACTERS
        or not all(map(is_harmless, given))
    ):
        raise InvalidRequest(
            f"reference must have 1 to {MAX_REFERENCE_CHARACTERS} characters, and no control characters.",
            field="reference",
        )
    return given


def _size_bytes(values: Mapping[str, Any]) -> int | None:
    return _whole_number(values, "size_bytes", 1)


def _whole_number(values: Mapping[str, Any], name: str, least: int, most: int | None = None) -> int | None:
    value = values.get(name)
    if value is None:
        return None
    if type(value) is not int or value < least or (most is not None and value > most):
        to = "or more" if most is None else f"to {most}"
        raise InvalidRequest(f"{name} must be a whole number, {least} {to}.", field=name)
    return value
