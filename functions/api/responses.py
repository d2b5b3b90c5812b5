"""Answers: JSON, problem documents (RFC 9457), the page, and the headers that all of them carry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.event_handler import Response

from audiojobs.errors import AudioJobError, InvalidRequest, JobNotReady

# Nothing about a job may be stored, framed, sniffed, indexed, or passed on in a Referer: its address is a secret.
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000",
    "Vary": "Accept, Accept-Language, Prefer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


def json_response(status_code: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response[str]:
    return _response(status_code, "application/json", json.dumps(body), headers)


def html_response(
    status_code: int, body: str, *, language: str, headers: Mapping[str, str] | None = None
) -> Response[str]:
    return _response(status_code, "text/html; charset=utf-8", body, {"Content-Language": language, **(headers or {})})


def empty_response(status_code: int, headers: Mapping[str, str] | None = None) -> Response[str]:
    return _response(status_code, None, "", headers)


def problem_response(error: AudioJobError) -> Response[str]:
    """The error as a problem document; ``type`` is its stable code, ``field`` the part of the request at fault."""
    return _response(error.http_status, "application/problem+json", json.dumps(problem(error)), retry_after(error))


def retry_after(error: AudioJobError) -> Mapping[str, str]:
    """When to ask again, in seconds (RFC 9110), where waiting helps."""
    if isinstance(error, JobNotReady) and error.retry_after_seconds is not None:
        return {"Retry-After": str(error.retry_after_seconds)}
    return {}


def problem(error: AudioJobError) -> dict[str, Any]:
    document = {"type": error.code, "title": error.title, "status": error.http_status, "detail": error.detail}
    if isinstance(error, InvalidRequest) and error.field:
        document["field"] = error.field
    return document


def _response(
    status_code: int, content_type: str | None, body: str, headers: Mapping[str, str] | None
) -> Response[str]:
    return Response(
        status_code=status_code, content_type=content_type, body=body, headers={**SECURITY_HEADERS, **(headers or {})}
    )
