"""The tree of errors: codes are for programs and stay as they are, statuses are those of RFC 9110."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from audiojobs import errors
from audiojobs.errors import AudioJobError, FileError, RequestError, ServiceError

CODES = {
    "InvalidRequest": (RequestError, "invalid-request", 400),
    "CrossOriginClaim": (RequestError, "cross-origin-claim", 403),
    "PassphraseRequired": (RequestError, "passphrase-required", 403),
    "WrongPassphrase": (RequestError, "wrong-passphrase", 403),
    "LinkLocked": (RequestError, "link-locked", 403),
    "JobNotFound": (RequestError, "job-not-found", 404),
    "JobNotReady": (RequestError, "job-not-ready", 409),
    "UploadNotFound": (RequestError, "upload-not-found", 404),
    "UploadNotAwaited": (RequestError, "upload-not-awaited", 409),
    "UploadIncomplete": (RequestError, "upload-incomplete", 409),
    "UploadConflict": (RequestError, "upload-conflict", 409),
    "IdempotencyKeyReused": (RequestError, "idempotency-key-reused", 422),
    "AlreadyDownloaded": (RequestError, "already-downloaded", 410),
    "LinkExpired": (RequestError, "link-expired", 410),
    "UploadTooLarge": (FileError, "upload-too-large", 413),
    "UploadReplaced": (FileError, "upload-replaced", 409),
    "UnreadableUpload": (FileError, "unreadable-upload", 422),
    "UnsupportedFormat": (FileError, "unsupported-format", 415),
    "NoAudio": (FileError, "no-audio", 422),
    "CorruptAudio": (FileError, "corrupt-audio", 422),
    "TruncatedAudio": (FileError, "truncated-audio", 422),
    "TimeLimit": (ServiceError, "time-limit", 504),
    "LeaseHeld": (ServiceError, "job-busy", 409),
    "InternalError": (ServiceError, "internal-error", 500),
}


def leaves(root: type[AudioJobError] = AudioJobError) -> Iterator[type[AudioJobError]]:
    for child in root.__subclasses__():
        yield from leaves(child)
        if "code" in vars(child):
            yield child


def test_every_code_has_its_status() -> None:
    found = {error.__name__: (error.__base__, error.code, error.http_status) for error in leaves()}

    assert found == CODES


def test_the_tree_in_the_documentation_is_the_code() -> None:
    told = re.findall(r"── (\w+) +([a-z-]+) +(\d{3})", errors.__doc__ or "")

    assert [(name, code, int(status)) for name, code, status in told] == [
        (name, code, status) for name, (_, code, status) in CODES.items()
    ]


@pytest.mark.parametrize("error", list(leaves()), ids=lambda error: error.code)
def test_an_error_without_a_sentence_of_its_own_says_its_title(error: type[AudioJobError]) -> None:
    assert error().detail == f"{error.title}."
    assert error("Something.").detail == str(error("Something.")) == "Something."
