"""A job's ``reference``: the caller's own name for it, by which its jobs are found again."""

from __future__ import annotations

from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from audiojobs.errors import InvalidRequest
from audiojobs.filenames import harmless

MAX_REFERENCE_CHARACTERS = 256


def reference_from_metadata(metadata: Mapping[str, str]) -> str | None:
    """The reference of a direct upload (``x-amz-meta-reference``), made harmless as its file name is.

    S3 answers with metadata beyond ASCII as RFC 2047 encodes it. Raises :class:`~audiojobs.errors.InvalidRequest` for
    one that is too long: cut, it would not be found again.
    """
    text = _decoded(metadata.get("reference", "")).strip()
    if len(text) > MAX_REFERENCE_CHARACTERS:
        raise InvalidRequest(f"reference may have at most {MAX_REFERENCE_CHARACTERS} characters.", field="reference")
    return harmless(text) or None


def _decoded(text: str) -> str:
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (
        HeaderParseError,
        ValueError,
        LookupError,
    ):  # only looks like RFC 2047, or names a character set that nobody knows
        return text
